package raftlog

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// others returns the nodes besides one.
func (c *testCluster) others(n *testNode) []*testNode {
	var others []*testNode
	for _, id := range c.order {
		if id != n.id {
			others = append(others, c.nodes[id])
		}
	}
	return others
}

// TestTransferUnderLoad: proposals that meet a transfer are applied, all of them
// and in order, by the old leader, or the reign is over.
func TestTransferUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		old, r := c.reign(1)
		heir := c.others(old)[0]
		done := make(chan error)
		c.eventually("the heir has caught up", func() bool { return old.group[1].CaughtUp(heir.group[1].Server()) })
		go func() { done <- old.group[1].TransferLeadership(t.Context(), heir.group[1].Server()) }()
		applied := 0
		for i := range 1000 {
			sequence, err := r.Propose(testBatch(1, fmt.Sprint("k", i), "v"))
			if err != nil || !waitApplied(r, sequence) {
				break
			}
			applied++
			time.Sleep(time.Millisecond)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if n, _ := c.reign(1); n != heir {
			t.Errorf("%s leads, want %s", n.id, heir.id)
		}
		for i := range applied {
			if heir.read(1, fmt.Sprint("k", i)) != "v" {
				t.Errorf("entry %d of %d is missing", i, applied)
			}
		}
	})
}

// TestTransferToSilentReplica: leadership is offered, again and again, to a replica
// that does not answer. The leader leads on, and so it does when it is elected
// later. (Raft's own transfer leaves a leader that refuses everything, for ever.)
func TestTransferToSilentReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		old := c.put(1, "k", "1")
		others := c.others(old)
		silent := others[0]
		c.net.Isolate([]nodeID{old.id}, []nodeID{silent.id})
		c.put(1, "k", "2")
		time.Sleep(5 * time.Second) // the request under way is given up
		_, before := c.reign(1)
		for range 3 {
			err := old.group[1].TransferLeadership(t.Context(), silent.group[1].Server())
			if !errors.Is(err, errNotCaughtUp) {
				t.Errorf("a replica that is cut off: %v", err)
			}
		}
		sequence, err := before.Propose(testBatch(1, "k", "3"))
		if err != nil || !waitApplied(before, sequence) {
			t.Errorf("the reign is over after leadership was offered in vain: %v", err)
		}
		c.net.Isolate([]nodeID{old.id}, []nodeID{others[0].id, others[1].id})
		time.Sleep(5 * time.Second) // until the old leader has stepped down
		c.put(1, "k", "4")
		c.net.Heal()
		c.eventually("the old leader leads again", func() bool {
			n, _ := c.reign(1)
			return n == old || n.group[1].TransferLeadership(t.Context(), old.group[1].Server()) == nil
		})
		if n := c.put(1, "k", "5"); n != old {
			t.Errorf("%s leads, want %s", n.id, old.id)
		}
	})
}

// TestTransferRefused: what cannot be handed over stays where it is.
func TestTransferRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		old := c.put(1, "k", "1")
		heir := c.others(old)[0]
		if err := heir.group[1].TransferLeadership(t.Context(), heir.group[1].Server()); !errors.Is(err, ErrNotLeader) {
			t.Errorf("by a follower: %v, want ErrNotLeader", err)
		}
		for _, to := range []ServerID{old.group[1].Server(), "nobody@d"} {
			if old.group[1].TransferLeadership(t.Context(), to) == nil {
				t.Errorf("handed over to %s", to)
			}
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := old.group[1].TransferLeadership(ended, heir.group[1].Server()); !errors.Is(err, context.Canceled) {
			t.Errorf("without time: %v, want Canceled", err)
		}
		if n := c.put(1, "k", "2"); n != old {
			t.Errorf("%s leads, want %s", n.id, old.id)
		}
	})
}
