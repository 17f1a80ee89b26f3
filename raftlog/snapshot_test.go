package raftlog

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// smallLogs makes snapshots and truncation happen after a few entries.
func smallLogs(c *Config) {
	c.SnapshotLogBytes = 32 << 10
	c.TrailingLogBytes = 8 << 10
	c.TruncateEntries = 10
	c.HashInterval = 16
}

// TestFollowerReturnsBySnapshot leaves a follower away for longer than the log,
// twice: with its disk, and with a disk that lost what was not synced.
func TestFollowerReturnsBySnapshot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, smallLogs, "a", "b", "c")
		c.bootstrap(1, 2)
		leader := c.put(1, "first", "1")
		away := c.nodes["a"]
		if away == leader {
			away = c.nodes["b"]
		}
		pad := strings.Repeat("x", 1000)
		n := 0
		write := func(count int) {
			for range count {
				c.put(1, fmt.Sprint("k", n%300), fmt.Sprint(n, pad))
				n++
			}
		}
		for round := range 2 {
			write(20)
			before := away.group[1].Stats().LastIndex
			away.crash(round * 50)
			write(200)
			c.eventually("the log is truncated", func() bool {
				l, _ := c.reign(1)
				write(5)
				return l.group[1].Stats().FirstIndex > before+1
			})
			away.open()
			away.start(1)
			away.start(2)
			c.eventually("the follower has a snapshot and follows under load", func() bool {
				write(3)
				l, r := c.reign(1)
				s := away.group[1].Stats()
				return s.Installs > 0 && s.Applied+20 > l.group[1].Stats().Applied && r != nil
			})
			c.eventually("replicas are equal", func() bool {
				return c.nodes["a"].contents(1) == c.nodes["b"].contents(1) && c.nodes["b"].contents(1) == c.nodes["c"].contents(1)
			})
		}
		for _, id := range c.order {
			if s := c.nodes[id].group[1].Stats(); s.Quarantined != "" {
				t.Fatalf("%s is in quarantine: %s", id, s.Quarantined)
			}
		}
	})
}

// TestUnaskedSnapshots: a follower that holds a snapshot's last entry wants none of
// it, however often a leader offers.
func TestUnaskedSnapshots(t *testing.T) {
	for _, wipe := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var offers atomic.Int64
			faults := &Faults{WipeOnInstall: wipe, OfferSnapshot: func(GroupID) bool { offers.Add(1); return true }}
			c := newTestCluster(t, func(cfg *Config) { smallLogs(cfg); cfg.Faults = faults }, "a", "b", "c")
			c.bootstrap(1)
			pad := strings.Repeat("x", 1000)
			for i := range 200 {
				c.put(1, fmt.Sprint("k", i%50), fmt.Sprint(i, pad))
			}
			time.Sleep(5 * time.Second) // many heartbeats, each with an offer
			installs := uint64(0)
			for _, id := range c.order {
				installs += c.nodes[id].group[1].Stats().Installs
			}
			if offers.Load() == 0 || (installs > 0) != wipe {
				t.Errorf("with the planted bug %v: %d installs after %d offers", wipe, installs, offers.Load())
			}
		})
	}
}
