package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// change makes changes of a configuration on whoever leads, until one succeeds.
func (c *testCluster) change(what string, f func(*Group) error) {
	c.t.Helper()
	c.eventually(what, func() bool {
		n, _ := c.reign(1)
		return f(n.group[1]) == nil
	})
}

// TestLostDiskReturnsAsNewReplica takes a node's disk away. It must come back
// without a vote and be taken in under its new identity.
func TestLostDiskReturnsAsNewReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, smallLogs, "a", "b", "c")
		c.bootstrap(1)
		for i := range 100 {
			c.put(1, fmt.Sprint("k", i%10), fmt.Sprint(i, strings.Repeat("x", 1000)))
		}
		n := c.nodes["c"]
		old := n.group[1].Server()
		n.crash(0)
		n.disk = vfs.NewCrashableMem()
		n.fs = nil
		n.open()
		fresh := n.create(1)
		if fresh == old {
			t.Fatal("a replica without its disk kept its identity")
		}
		n.start(1)
		time.Sleep(3 * time.Second) // several elections, if it began any
		if s := n.group[1].Stats(); s.LastIndex != 0 || s.Term != 0 {
			t.Fatalf("a replica that nobody added takes part: %+v", s)
		}
		ctx := context.Background()
		c.change("remove the old replica", func(g *Group) error { return g.RemoveServer(ctx, old) })
		c.change("add the new one", func(g *Group) error { return g.AddNonvoter(ctx, fresh) })
		c.eventually("it has caught up", func() bool {
			c.put(1, "more", "load")
			l, _ := c.reign(1)
			return l.group[1].CaughtUp(fresh)
		})
		c.change("give it a vote", func(g *Group) error { return g.AddVoter(ctx, fresh) })
		c.eventually("replicas are equal", func() bool { return c.nodes["a"].contents(1) == n.contents(1) })
	})
}

// TestShortLogIsADamagedReplica removes the end of a log behind Pebble's back, as
// a truncated WAL does.
func TestShortLogIsADamagedReplica(t *testing.T) {
	for _, alone := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			nodes := []nodeID{"a", "b", "c"}
			if alone {
				nodes = nodes[:1]
			}
			c := newTestCluster(t, nil, nodes...)
			c.bootstrap(1)
			for i := range 20 {
				c.put(1, fmt.Sprint(i), "v")
			}
			time.Sleep(2 * marksEvery) // until the marks are written
			n := c.nodes["a"]
			old, last := n.group[1].Server(), n.group[1].Stats().LastIndex
			n.stop()
			db, err := pebble.Open("data/log", &pebble.Options{FS: n.disk, FormatMajorVersion: storeFormat})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Delete(entryKey(1, last), pebble.Sync); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			err = n.tryOpen()
			if alone {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("the only copy with a short log: %v, want ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := n.create(1); got == old || n.host.Replaced()[1] == "" {
				t.Fatalf("replica %s with a short log is %s now", old, got)
			}
			if n.read(1, "3") != "" {
				t.Fatal("the damaged replica's state was not wiped")
			}
		})
	}
}

// TestRefusedProposalEndsReign loses one proposal in the middle of several, as an
// enqueue timeout does. What comes after it in the same reign must not be applied.
func TestRefusedProposalEndsReign(t *testing.T) {
	for _, check := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			faults := &Faults{SkipEpochCheck: !check}
			var epoch uint64 // of the reign with the lost proposal
			faults.RefuseProposal = func(_ GroupID, e, sequence uint64) bool {
				if sequence == 2 && epoch == 0 {
					epoch = e
				}
				return sequence == 2 && e == epoch
			}
			c := newTestCluster(t, func(cfg *Config) { cfg.Faults = faults }, "a", "b", "c")
			c.bootstrap(1)
			n, r := c.reign(1)
			for i := range 3 {
				if _, err := r.Propose(testBatch(1, fmt.Sprint(i+1), "v")); err != nil {
					t.Fatal(err)
				}
			}
			<-r.over
			if check && r.Applied() != 1 {
				t.Fatalf("applied up to %d, the second of three was lost", r.Applied())
			}
			_, next := c.reign(1)
			if next.Epoch() <= r.Epoch() {
				t.Fatalf("epoch %d follows %d", next.Epoch(), r.Epoch())
			}
			// The planted bug must show, or the test proves nothing.
			if torn := n.read(1, "3") != ""; torn == check {
				t.Fatalf("with epoch check %v the third proposal is applied: %v", check, torn)
			}
			if check && n.host.StaleRejected() == 0 {
				t.Fatal("no stale entry was counted")
			}
			if _, err := r.Propose(testBatch(1, "x", "y")); !errors.Is(err, ErrReignOver) {
				t.Fatalf("propose after the reign: %v", err)
			}
		})
	}
}

// TestProposeRefusesForeignKeys tries batches that leave the group's range.
func TestProposeRefusesForeignKeys(t *testing.T) {
	build := func(f func(*pebble.Batch)) []byte {
		var b pebble.Batch
		f(&b)
		return append([]byte{}, b.Repr()...)
	}
	key := func(g GroupID, table byte) []byte {
		return append(binary.BigEndian.AppendUint32(nil, uint32(g)), table, 'k')
	}
	for name, tc := range map[string]struct {
		batch []byte
		want  error
	}{
		"own key":             {build(func(b *pebble.Batch) { _ = b.Set(key(7, 1), nil, nil) }), nil},
		"own range":           {build(func(b *pebble.Batch) { _ = b.DeleteRange(key(7, 1), groupEnd(7), nil) }), nil},
		"other group":         {build(func(b *pebble.Batch) { _ = b.Set(key(8, 1), nil, nil) }), ErrBadBatch},
		"record":              {build(func(b *pebble.Batch) { _ = b.Delete(key(7, 0), nil) }), ErrBadBatch},
		"range from record":   {build(func(b *pebble.Batch) { _ = b.DeleteRange(groupStart(7), groupEnd(7), nil) }), ErrBadBatch},
		"range to next group": {build(func(b *pebble.Batch) { _ = b.DeleteRange(key(7, 1), key(8, 1), nil) }), ErrBadBatch},
		"merge":               {build(func(b *pebble.Batch) { _ = b.Merge(key(7, 1), nil, nil) }), ErrBadBatch},
		"nothing":             {nil, ErrBadBatch},
		"cut off":             {build(func(b *pebble.Batch) { _ = b.Set(key(7, 1), nil, nil) })[:15], ErrBadBatch},
		"huge":                {make([]byte, MaxEntryBytes+1), ErrTooLarge},
	} {
		if err := checkBatch(7, tc.batch); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", name, err, tc.want)
		}
	}
}

// TestDivergedReplicaIsQuarantined changes one replica's hash behind its back.
func TestDivergedReplicaIsQuarantined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, smallLogs, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "k", "v")
		time.Sleep(time.Second) // until all three have applied it
		bad := c.nodes["b"]
		m := bad.group[1].machine
		m.mu.Lock()
		m.rec.hash++
		m.mu.Unlock()
		c.eventually("the odd one out is in quarantine", func() bool {
			c.put(1, "k", "v")
			return bad.group[1].Stats().Quarantined != ""
		})
		for _, id := range c.order {
			if s := c.nodes[id].group[1].Stats(); id != "b" && s.Quarantined != "" {
				t.Fatalf("%s is in quarantine too", id)
			}
		}
		c.put(1, "the others", "go on")
		// A restart does not bring it back.
		time.Sleep(time.Second) // until the reason is on its disk
		old := bad.group[1].Server()
		bad.crash(0)
		bad.open()
		if fresh := bad.create(1); fresh == old || bad.host.Replaced()[1] == "" {
			t.Fatalf("after a restart the replica in quarantine, %s, is %s", old, fresh)
		}
	})
}

// TestCrashHint measures, on the bubble's clock, how long a group is without a
// leader after its leader's process is gone. Timers alone need at least the
// heartbeat timeout.
func TestCrashHint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		first := c.put(1, "k", "v")
		time.Sleep(5 * time.Second) // until nothing else is under way: the takeover alone is measured
		before := time.Now()
		first.crash(0)
		c.put(1, "k", "v2")
		if took := time.Since(before); took >= 500*time.Millisecond {
			t.Fatalf("takeover took %s", took)
		}
	})
}

// TestHintNeedsAMajority gives one follower a wrong hint: the leader is alive and
// the other follower hears it.
func TestHintNeedsAMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		leader := c.put(1, "k", "v")
		time.Sleep(time.Second) // until both followers know the leader
		_, term := leader.group[1].Leader()
		for _, id := range c.order {
			if c.nodes[id] != leader {
				c.nodes[id].host.NodeLost(leader.id)
				break
			}
		}
		time.Sleep(5 * time.Second) // longer than an election, if one began
		if who, now := leader.group[1].Leader(); now != term || who != leader.group[1].Server() {
			t.Fatalf("term %d became %d", term, now)
		}
	})
}

// TestConfirmFailsWithoutMajority cuts a leader off. It believes for a while that
// it leads, and must not confirm a read.
func TestConfirmFailsWithoutMajority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "k", "v")
		n, r := c.reign(1)
		var others []nodeID
		for _, id := range c.order {
			if id != n.id {
				others = append(others, id)
			}
		}
		c.net.Isolate([]nodeID{n.id}, others)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := r.Confirm(ctx); err == nil {
			t.Fatal("a read was confirmed without a majority")
		}
	})
}

// TestRemoveWipes checks that nothing of a removed replica is left.
func TestRemoveWipes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a")
		c.bootstrap(1, 2)
		n := c.put(1, "k", "v")
		c.put(2, "k", "v")
		old := n.group[1].Server()
		delete(n.lead, 1)
		if err := n.host.Remove(1); err != nil {
			t.Fatal(err)
		}
		if n.read(1, "k") != "" || n.read(2, "k") != "v" {
			t.Fatal("wrong rows were removed")
		}
		n.crash(0)
		n.open()
		if got := n.host.Groups(); len(got) != 1 || got[0] != 2 {
			t.Fatalf("groups after removal: %v", got)
		}
		if n.create(1) == old {
			t.Fatal("an identity came back")
		}
	})
}
