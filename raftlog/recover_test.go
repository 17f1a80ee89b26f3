package raftlog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// look opens the disk of a stopped node.
func (n *testNode) look(t *testing.T) *Stopped {
	t.Helper()
	s, err := OpenStopped(StoppedConfig{Self: n.id, Dir: "data", FS: n.fs})
	if err != nil {
		t.Fatalf("look at %s: %v", n.id, err)
	}
	return s
}

// recoverAll recovers what the node can recover alone, and returns the plans.
func (n *testNode) recoverAll(t *testing.T, lost ...nodeID) []GroupPlan {
	t.Helper()
	s := n.look(t)
	plans := PlanRecovery([]Shown{{n.id, s.Replicas()}}, lost)
	var recoveries []Recovery
	for _, p := range plans {
		if p.Need == NeedRecovery {
			recoveries = append(recoveries, p.Recovery)
		}
	}
	if _, err := s.Recover(recoveries); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return plans
}

// rows is all of a group's state but the record, which a recovery changes.
func (n *testNode) rows(g GroupID) string {
	it, err := n.host.state.NewIter(&pebble.IterOptions{LowerBound: groupStart(g), UpperBound: groupEnd(g)})
	if err != nil {
		n.c.t.Fatal(err)
	}
	defer it.Close()
	var b []byte
	for ok := it.First(); ok; ok = it.Next() {
		if string(it.Key()) != string(recordKey(g)) {
			b = appendBytes(appendBytes(b, it.Key()), it.Value())
		}
	}
	return string(b)
}

// loseDisk makes a node that comes back without its data.
func (n *testNode) loseDisk() {
	n.disk, n.fs = vfs.NewCrashableMem(), nil
}

// takeIn makes a node's replica anew in the lineage of a group and gives it a vote.
func (c *testCluster) takeIn(n *testNode) {
	c.t.Helper()
	leader, _ := c.reign(1)
	fresh, err := n.host.CreateIn(1, leader.group[1].Server().Lineage())
	if err != nil {
		c.t.Fatal(err)
	}
	n.start(1)
	c.change("add it", func(g *Group) error { return g.AddNonvoter(context.Background(), fresh) })
	c.eventually("it has caught up", func() bool {
		c.put(1, "more", "load")
		l, _ := c.reign(1)
		return l.group[1].CaughtUp(fresh)
	})
	c.change("give it a vote", func(g *Group) error { return g.AddVoter(context.Background(), fresh) })
}

// TestRecoverGoesOnFromTheSurvivor loses two of three disks. The one that is left
// holds everything that was acknowledged; the others come back blank.
func TestRecoverGoesOnFromTheSurvivor(t *testing.T) {
	for _, tune := range []func(*Config){nil, smallLogs} { // with and without a snapshot
		synctest.Test(t, func(t *testing.T) {
			c := newTestCluster(t, tune, "a", "b", "c")
			c.bootstrap(1)
			pad := strings.Repeat("x", 1000)
			for i := range 100 {
				c.put(1, fmt.Sprint("k", i%20), fmt.Sprint(i, pad))
			}
			a := c.nodes["a"]
			c.eventually("a has applied all", func() bool {
				return a.contents(1) == c.nodes["b"].contents(1) && a.contents(1) == c.nodes["c"].contents(1)
			})
			_, before := c.reign(1)
			want, old := a.rows(1), a.group[1].Server()
			for _, id := range c.order {
				c.nodes[id].crash(50)
			}
			plans := a.recoverAll(t, "b", "c")
			if len(plans) != 1 || plans[0].Need != NeedRecovery || plans[0].From.Server != old {
				t.Fatalf("plans %+v", plans)
			}
			a.open()
			if len(a.host.Replaced()) > 0 {
				t.Fatalf("a recovered replica counts as damaged: %v", a.host.Replaced())
			}
			a.start(1)
			_, r := c.reign(1)
			if got := a.rows(1); got != want {
				t.Fatalf("after the recovery there are %d bytes of rows, before %d, and they differ", len(got), len(want))
			}
			if id := a.group[1].Server(); id == old || id.Lineage() != plans[0].Recovery.Lineage || id.Lineage().Generation() != 1 {
				t.Fatalf("identity %s after %s", id, old)
			}
			if r.Epoch() < before.Epoch()+recoveryStep || r.term < before.term+recoveryStep {
				t.Fatalf("epoch %d, term %d after %d, %d: what was lost may have had more", r.Epoch(), r.term, before.Epoch(), before.term)
			}
			if k, _ := a.host.marks.get(1); !k.alone {
				t.Fatal("the marks do not know that it is the only voter")
			}
			for _, id := range []nodeID{"b", "c"} {
				c.nodes[id].loseDisk()
				c.nodes[id].open()
				c.takeIn(c.nodes[id])
			}
			c.put(1, "after", "all")
			c.eventually("replicas are equal", func() bool {
				return a.contents(1) == c.nodes["b"].contents(1) && a.contents(1) == c.nodes["c"].contents(1)
			})
			a.crash(0) // the two others are a majority
			c.put(1, "without", "the survivor")
			for _, id := range c.order {
				if n := c.nodes[id]; n.host != nil && n.group[1].Stats().Quarantined != "" {
					t.Fatalf("%s is in quarantine: %+v", id, n.group[1].Stats())
				}
			}
		})
	}
}

// TestRecoverTwice loses the majority once more.
func TestRecoverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "first", "v")
		a := c.nodes["a"]
		c.eventually("a has it", func() bool { return a.read(1, "first") == "v" })
		var epochs []uint64
		for generation := uint64(1); generation <= 2; generation++ {
			for _, id := range c.order {
				c.nodes[id].crash(0)
			}
			a.recoverAll(t, "b", "c")
			a.open()
			a.start(1)
			_, r := c.reign(1)
			epochs = append(epochs, r.Epoch())
			if got := a.group[1].Server().Lineage().Generation(); got != generation {
				t.Fatalf("generation %d, want %d", got, generation)
			}
			for _, id := range []nodeID{"b", "c"} {
				c.nodes[id].loseDisk()
				c.nodes[id].open()
				c.takeIn(c.nodes[id])
			}
			c.put(1, fmt.Sprint("k", generation), "v")
			c.eventually("a has it", func() bool { return a.read(1, fmt.Sprint("k", generation)) == "v" })
		}
		if epochs[1] < epochs[0]+recoveryStep {
			t.Fatalf("epochs %v", epochs)
		}
		if a.read(1, "first") != "v" || a.read(1, "k1") != "v" {
			t.Fatal("an acknowledged write of the survivor is gone")
		}
	})
}

// TestOldMajorityCannotTouchTheRecovered brings the lost voters back with their
// disks. They elect a leader among themselves, which no file on another machine can
// prevent; but they must not get at the recovered replica, nor it be mixed with
// them, and once they are told they stop.
func TestOldMajorityCannotTouchTheRecovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "k", "v")
		a, b := c.nodes["a"], c.nodes["b"]
		c.eventually("a has it", func() bool { return a.read(1, "k") == "v" })
		for _, id := range c.order {
			c.nodes[id].stop()
		}
		a.recoverAll(t, "b", "c")
		a.open()
		a.start(1)
		c.put(1, "side", "recovered")
		recovered := a.group[1].Server()
		for _, id := range []nodeID{"b", "c"} {
			c.nodes[id].open()
			c.nodes[id].start(1)
		}
		var old *testNode
		c.eventually("the old voters elect one of themselves", func() bool {
			for _, id := range []nodeID{"b", "c"} {
				if n := c.nodes[id]; n.lead[1].current() != nil {
					old = n
				}
			}
			return old != nil
		})
		// The worst that each side can do: to take the other one in.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := old.group[1].AddNonvoter(ctx, recovered); err != nil {
			t.Fatal(err)
		}
		if err := a.group[1].AddNonvoter(ctx, old.group[1].Server()); err != nil {
			t.Fatal(err)
		}
		r := old.lead[1].current()
		if seq, err := r.Propose(testBatch(1, "side", "old")); err != nil || !waitApplied(r, seq) {
			t.Fatalf("the old majority does not write: %v", err)
		}
		if err := a.lead[1].current().Confirm(ctx); err != nil {
			t.Fatal(err)
		}
		if seq, err := a.lead[1].current().Propose(testBatch(1, "more", "recovered")); err != nil || !waitApplied(a.lead[1].current(), seq) {
			t.Fatalf("the recovered side does not write: %v", err)
		}
		time.Sleep(5 * time.Second) // the old ones had time to send what they hold
		if got := a.read(1, "side"); got != "recovered" {
			t.Fatalf("the recovered replica took %q from the old ones", got)
		}
		if got := old.read(1, "side") + old.read(1, "more"); got != "old" {
			t.Fatalf("an old replica has %q", got)
		}
		for _, id := range []nodeID{"b", "c"} {
			c.nodes[id].group[1].Supersede(recovered)
		}
		if s := b.group[1].Stats(); s.Role != "quarantined" || !strings.Contains(s.Quarantined, "recovered without it") {
			t.Fatalf("%+v", s)
		}
		c.change("remove the one that was taken in", func(g *Group) error { return g.RemoveServer(context.Background(), old.group[1].Server()) })
		was := b.group[1].Server()
		b.stop()
		b.open()
		if now := b.create(1); now == was || b.host.Replaced()[1] == "" {
			t.Fatalf("after a restart the superseded replica %s is %s", was, now)
		}
	})
}

// TestRecoverCrashAtEveryWrite crashes the node before each disk operation of a
// recovery. It is as if it had not begun, or as if it was done, for all groups; a
// second try ends it, and nothing is missing.
func TestRecoverCrashAtEveryWrite(t *testing.T) {
	var disk *vfs.MemFS
	want := make(map[GroupID]string)
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1, 2)
		for i := range 20 {
			c.put(1, fmt.Sprint("k", i), "v")
			c.put(2, fmt.Sprint("k", i), "w")
		}
		a := c.nodes["a"]
		for _, g := range []GroupID{1, 2} {
			c.eventually("a has applied all", func() bool {
				return a.contents(g) == c.nodes["b"].contents(g) && a.contents(g) == c.nodes["c"].contents(g)
			})
			want[g] = a.rows(g)
		}
		a.crash(0)
		disk = a.disk
	})
	done := map[bool]int{}
	for at := int64(1); ; at++ {
		begun := false
		synctest.Test(t, func(t *testing.T) {
			kept := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
			c := newTestCluster(t, nil)
			n := &testNode{c: c, id: "a", disk: kept}
			c.nodes["a"], c.order = n, []nodeID{"a"}
			counted, source := &countingFS{FS: kept}, kept
			counted.at = func(op int64) {
				if op == at {
					begun = true
					kept = source.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(at%2) * 100, RNG: rand.New(rand.NewPCG(7, uint64(at)))})
				}
			}
			n.fs = counted
			n.recoverAll(t, "b", "c") // what it does after the crash is not on the disk
			if !begun {
				return
			}
			n.disk, n.fs = kept, kept
			s := n.look(t)
			lineages := map[bool]bool{}
			for _, r := range s.Replicas() {
				if r.Damage != "" {
					t.Errorf("crash at %d: group %d is damaged: %s", at, r.Group, r.Damage)
				}
				lineages[r.Server.Lineage() != ""] = true
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if len(lineages) != 1 {
				t.Errorf("crash at %d: some groups are recovered, and some are not", at)
			}
			done[lineages[true]]++
			n.recoverAll(t, "b", "c")
			n.open()
			if len(n.host.Replaced()) > 0 {
				t.Errorf("crash at %d: replaced %v", at, n.host.Replaced())
			}
			for g, rows := range want {
				n.start(g)
				c.reign(g)
				if n.rows(g) != rows {
					t.Errorf("crash at %d: group %d is not what it was", at, g)
				}
				if s := n.group[g].Stats(); s.Server.Lineage().Generation() != 1 || len(s.Servers) != 1 {
					t.Errorf("crash at %d: %+v", at, s)
				}
			}
		})
		if !begun || t.Failed() {
			t.Logf("%d operations; crashes that left it undone %d, done %d", at-1, done[false], done[true])
			break
		}
	}
	if done[true] == 0 || done[false] == 0 {
		t.Error("no crash before, or none after the deed: the test is void")
	}
}

// TestStoppedRefuses meets what must not be looked at, or not be recovered.
func TestStoppedRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		for i := range 10 {
			c.put(1, fmt.Sprint(i), "v")
		}
		n := c.nodes["a"]
		c.eventually("a has it", func() bool { return n.read(1, "9") == "v" })
		if _, err := OpenStopped(StoppedConfig{Self: "a", Dir: "data", FS: n.disk}); !errors.Is(err, ErrLocked) {
			t.Fatalf("the disk of a running node: %v", err)
		}
		empty := vfs.NewMem()
		if _, err := OpenStopped(StoppedConfig{Self: "a", Dir: "data", FS: empty}); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("an empty disk: %v", err)
		}
		if names, _ := empty.List("/"); len(names) > 0 {
			t.Fatalf("looking made %v", names)
		}
		time.Sleep(2 * marksEvery) // until the marks are written
		last := n.group[1].Stats().LastIndex
		n.stop()
		s := n.look(t)
		r := s.Replicas()[0]
		for what, bad := range map[string]Recovery{
			"an old term":      {Group: 1, Term: r.Term, Lineage: newLineage(1)},
			"the same lineage": {Group: 1, Term: r.Term + 1},
			"another group":    {Group: 2, Term: r.Term + 1, Lineage: newLineage(1)},
		} {
			if _, err := s.Recover([]Recovery{bad}); err == nil {
				t.Errorf("%s is accepted", what)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		// A shortened log: it may lack what it has acknowledged. Looking must not wipe it.
		db, err := pebble.Open("data/log", &pebble.Options{FS: n.disk, FormatMajorVersion: storeFormat})
		if err == nil {
			err = errors.Join(db.Delete(entryKey(1, last), pebble.Sync), db.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			s = n.look(t)
			r = s.Replicas()[0]
			plans := PlanRecovery([]Shown{{"a", s.Replicas()}}, []nodeID{"b", "c"})
			if !strings.Contains(r.Damage, "log ends at") || r.LastIndex == 0 || plans[0].Need != NeedMore || !strings.Contains(plans[0].Why, "damaged") {
				t.Fatalf("%+v: %+v", r, plans)
			}
			if _, err := s.Recover([]Recovery{{Group: 1, Term: r.Term + 1, Lineage: newLineage(1)}}); err == nil {
				t.Fatal("a damaged replica was recovered")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
