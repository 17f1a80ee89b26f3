package raftlog

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
)

// TestReadersShareQuestions lets many readers wait while a voter does not answer.
// What is remembered for it must not grow with every reader for ever.
func TestReadersShareQuestions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "k", "v")
		n, r := c.reign(1)
		var silent peer.NodeID
		for _, id := range c.order {
			if id != n.id {
				silent = id
			}
		}
		c.net.Pause(silent)
		const readers = 10 * maxTermQuestions
		var wg sync.WaitGroup
		for range readers {
			wg.Go(func() {
				if err := r.Confirm(context.Background()); err != nil && !errors.Is(err, ErrReignOver) {
					t.Errorf("confirm: %v", err)
				}
			})
			time.Sleep(100 * time.Microsecond) // so that each comes at another point of the questions before it
		}
		wg.Wait()
		time.Sleep(2 * n.host.cfg.HeartbeatTimeout) // longer than a question to the silent one is waited for
		n.host.confirms.mu.Lock()
		if a := n.host.confirms.peers[silent]; a == nil || a.asking || len(a.next) > 0 {
			t.Errorf("of %d readers, some still wait for %s: %+v", readers, silent, a)
		}
		n.host.confirms.mu.Unlock()
		c.net.Resume(silent)
	})
}
