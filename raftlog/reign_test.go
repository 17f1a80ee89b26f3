package raftlog

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
)

type syncReign struct {
	mu sync.Mutex
	r  *Reign
}

func (s *syncReign) set(r *Reign) { s.mu.Lock(); s.r = r; s.mu.Unlock() }
func (s *syncReign) get() *Reign  { s.mu.Lock(); defer s.mu.Unlock(); return s.r }

func TestProposeApplyAndRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1, 2)
		for i := range 100 {
			c.put(1, fmt.Sprint("k", i), fmt.Sprint("v", i))
		}
		c.put(2, "other", "group")
		for _, id := range c.order {
			c.nodes[id].crash(0)
		}
		for _, id := range c.order {
			c.nodes[id].open()
			c.nodes[id].start(1)
			c.nodes[id].start(2)
		}
		last := c.put(1, "after", "restart")
		for i := range 100 {
			if got := last.read(1, fmt.Sprint("k", i)); got != fmt.Sprint("v", i) {
				t.Fatalf("k%d is %q after all nodes crashed", i, got)
			}
		}
		c.eventually("replicas are equal", func() bool {
			return c.nodes["a"].contents(1) == c.nodes["b"].contents(1) && c.nodes["b"].contents(1) == c.nodes["c"].contents(1)
		})
		first, _ := c.reign(1)
		first.crash(0)
		if next := c.put(1, "after", "leader"); next == first {
			t.Fatal("the crashed leader still leads")
		}
	})
}

// TestStopLeavesAShortRestart stops a node in good order long before a snapshot is
// due: the next start must find one, and hardly any log behind it.
func TestStopLeavesAShortRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a")
		c.bootstrap(1, 2)
		n := c.nodes["a"]
		for i := range 20 {
			c.put(1, "k", fmt.Sprint(i, strings.Repeat("x", 100<<10)))
		}
		c.put(2, "little", "log")
		if s := n.group[1].Stats(); s.Snapshot != 0 {
			t.Fatalf("a snapshot was made early, at %d", s.Snapshot)
		}
		n.stop()
		n.open()
		n.start(1)
		n.start(2)
		s := n.group[1].Stats()
		if s.Snapshot == 0 || s.LastIndex > s.Snapshot+2 {
			t.Errorf("after a stop the snapshot is at %d, the log ends at %d", s.Snapshot, s.LastIndex)
		}
		if s := n.group[2].Stats(); s.Snapshot != 0 {
			t.Errorf("a group with little log made a snapshot, at %d", s.Snapshot)
		}
		c.put(1, "after", "restart")
		if got := n.read(1, "k"); !strings.HasPrefix(got, "19x") {
			t.Errorf("k is %.3s", got)
		}
	})
}
