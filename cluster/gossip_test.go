package cluster

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestUpdateIsRepeated: a change that memberlist did not get out is told again.
func TestUpdateIsRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGossip(Config{Name: "a"}, slog.New(slog.DiscardHandler))
		told := make(chan Member, 10)
		failures := 3
		g.wg.Go(func() {
			g.keepUpdated(func(time.Duration) error {
				g.mu.Lock()
				self := g.self
				g.mu.Unlock()
				told <- self
				if failures > 0 {
					failures--
					return errors.New("timeout waiting for update broadcast")
				}
				return nil
			})
		})
		g.Update(Member{Name: "a", Cluster: "x"})
		for range 4 {
			if m := <-told; m.Cluster != "x" {
				t.Errorf("told %+v", m)
			}
		}
		time.Sleep(time.Minute) // longer than it pauses between two attempts
		if len(told) > 0 {
			t.Errorf("told %d times more", len(told))
		}
		g.cancel()
		g.wg.Wait()
	})
}
