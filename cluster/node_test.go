package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

func TestOneNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a := w.start("a", 1)
		w.ready()
		if i := w.run(a, a, startOf("chain", "x", 3)); string(i.Output) != "3" {
			t.Errorf("output %s", i.Output)
		}
	})
}

func TestThreeNodesFoundACluster(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a, b, c := w.start("a", 3), w.start("b", 3), w.start("c", 3)
		w.ready()
		d := w.eventually(c, "leaders are spread", func(d Description) bool { return spreadAsPreferred(d) })
		if len(d.Nodes) != 3 || len(d.Partitions) != 5 {
			t.Fatalf("described: %s", mustJSON(d))
		}
		for _, p := range d.Partitions {
			if len(p.Replicas) != 3 {
				t.Errorf("partition %d has replicas %v", p.ID, p.Replicas)
			}
		}
		// Whoever is asked, the right one answers.
		for i := range 12 {
			w.run([]*Node{a, b, c}[i%3], []*Node{b, c, a}[i%3], startOf("chain", fmt.Sprint("x", i), 2))
		}
		// A second start with the same ID is refused, also from another node.
		req := startOf("fan", "live", 3)
		if _, err := a.StartInstance(w.within(time.Minute), req); err != nil {
			t.Fatal(err)
		}
		req.Identity.ID, req.Execution = "another", "00000000000000000000000000000001"
		if _, err := b.StartInstance(w.within(time.Minute), req); !errors.Is(err, leader.ErrExists) {
			t.Errorf("second start: %v", err)
		}
		if _, err := c.Status(w.within(time.Minute), leader.StatusRequest{Instance: leader.InstanceRef{Hub: "default", ID: "nobody"}}); !errors.Is(err, leader.ErrNotFound) {
			t.Errorf("status of nobody: %v", err)
		}
		page, err := b.History(w.within(time.Minute), leader.HistoryRequest{Instance: leader.InstanceRef{Hub: "default", ID: "x0"}})
		if err != nil || len(page.Events) == 0 || page.Events[len(page.Events)-1].Body.Kind() != history.KindExecutionCompleted {
			t.Errorf("history: %+v, %v", page, err)
		}
	})
}

// spreadAsPreferred reports whether every partition is led by its preferred
// leader.
func spreadAsPreferred(d Description) bool {
	for _, p := range d.Partitions {
		if p.Leader != p.Preferred {
			return false
		}
	}
	return len(d.Partitions) > 0
}

func TestFanOutUsesAllNodes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a := w.start("a", 3)
		w.start("b", 3)
		w.start("c", 3)
		w.ready()
		time.Sleep(time.Second) // nodes have told each other what they bind
		i := w.run(a, a, startOf("fan", "x", 24))
		var nodes []string
		if err := json.Unmarshal(i.Output, &nodes); err != nil || len(nodes) != 24 {
			t.Fatalf("output %s: %v", i.Output, err)
		}
		count := map[string]int{}
		for _, n := range nodes {
			count[n]++
		}
		for _, n := range []string{"a", "b", "c"} {
			if count[n] < 6 || count[n] > 10 {
				t.Errorf("activities by node: %v", count)
			}
		}
	})
}

func TestRestartContinues(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		before := w.run(w.nodes["a"], w.nodes["b"], startOf("chain", "x", 3))
		cluster := w.nodes["a"].clusterID()
		for _, n := range []string{"a", "b", "c"} {
			w.crash(n)
		}
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		after, err := w.nodes["c"].Status(w.within(time.Minute), leader.StatusRequest{Instance: before.Ref, Payloads: true})
		if err != nil || after.Status != history.Completed || string(after.Output) != "3" || w.nodes["c"].clusterID() != cluster {
			t.Errorf("after the restart: %+v, %v", after, err)
		}
	})
}

func TestLossOfANode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		for i := range 9 {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("fan", fmt.Sprint("x", i), 20)); err != nil {
				t.Fatal(err)
			}
		}
		w.crash("b")
		for i := range 9 {
			ref := leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("x", i))}
			got, err := w.nodes["c"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: ref, Ended: true})
			if err != nil || got.Status != history.Completed {
				t.Errorf("%s: %v, %v", ref.ID, got.Status, err)
			}
		}
		w.start("b", 3)
		w.eventually(w.nodes["a"], "leaders are spread again", spreadAsPreferred)
	})
}

// What a dead node ran is run elsewhere as soon as the network knows that its process
// is gone, which is long before membership does.
func TestLostProcessIsNotWaitedFor(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		time.Sleep(5 * time.Second) // leaders that have been there for long are missed at once
		for i := range 9 {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("fan", fmt.Sprint("x", i), 20)); err != nil {
				t.Fatal(err)
			}
		}
		w.crash("b")
		for i := range 9 {
			ref := leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("x", i))}
			if _, err := w.nodes["c"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: ref, Ended: true}); err != nil {
				t.Error(err)
			}
		}
		if _, alive := w.nodes["c"].member("b"); !alive {
			t.Error("all has ended only after membership declared the node dead")
		}
	})
}

func TestGrowsFromOneToThree(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a := w.start("a", 1)
		w.ready()
		w.run(a, a, startOf("chain", "before", 3))
		w.start("b", 0)
		w.start("c", 0)
		w.eventually(a, "three voters everywhere, leaders spread", func(d Description) bool {
			for _, p := range d.Partitions {
				voters := 0
				for _, r := range p.Replicas {
					if r.Voter {
						voters++
					}
				}
				if voters != 3 || p.Leader != p.Preferred {
					return false
				}
			}
			return true
		})
		w.crash("a")
		got, err := w.nodes["c"].Status(w.within(time.Minute), leader.StatusRequest{Instance: leader.InstanceRef{Hub: "default", ID: "before"}})
		if err != nil || got.Status != history.Completed {
			t.Errorf("without the first node: %v, %v", got.Status, err)
		}
		w.run(w.nodes["b"], w.nodes["c"], startOf("chain", "after", 3))
	})
}

func TestWipedDiskComesBackAsANewReplica(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		d, err := w.nodes["a"].Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		old := map[string]bool{}
		for _, p := range d.Partitions {
			for _, r := range p.Replicas {
				old[r.ServerID] = r.Node == "c"
			}
		}
		w.crash("c")
		w.disks["c"] = vfs.NewMem()
		w.start("c", 3)
		w.eventually(w.nodes["a"], "c has new replicas with votes", func(d Description) bool {
			for _, p := range d.Partitions {
				found := false
				for _, r := range p.Replicas {
					if old[r.ServerID] {
						return false
					}
					found = found || r.Node == "c" && r.Voter
				}
				if !found || len(p.Replicas) != 3 {
					return false
				}
			}
			return true
		})
		// What a alone holds of a vote dies with it, and b could not lead without a. That
		// one of the others has heard is enough.
		w.eventually(w.nodes["b"], "b or c knows of each vote", func(Description) bool {
			for id, group := range w.nodes["b"].groups() {
				if !votes(group, "c") && !votes(w.nodes["c"].groups()[id], "c") {
					return false
				}
			}
			return true
		})
		w.crash("a")
		w.run(w.nodes["b"], w.nodes["c"], startOf("chain", "x", 3))
	})
}

// votes reports whether a replica has heard that the one on a node has a vote.
func votes(g *raftlog.Group, node peer.NodeID) bool {
	return g != nil && slices.ContainsFunc(g.Configuration(), func(s raftlog.Server) bool { return s.Voter && s.ID.Node() == node })
}

func TestNameBoundOnOneNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a, b := w.start("a", 3), w.start("b", 3)
		w.start("c", 3)
		w.ready()
		var refs []leader.InstanceRef
		for i := range 8 {
			req := startOf("rare", fmt.Sprint("x", i), i)
			if _, err := a.StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			refs = append(refs, req.Instance)
		}
		time.Sleep(10 * time.Second) // until whoever looks for somebody that binds it has looked often
		for _, ref := range refs {
			i, err := b.Status(w.within(time.Minute), leader.StatusRequest{Instance: ref})
			if err != nil || i.Status.Ended() || len(i.Waiting) == 0 {
				t.Errorf("nobody binds the name, and %s is %v, waiting for %q: %v", ref.ID, i.Status, i.Waiting, err)
			}
		}
		w.start("d", 0, "rare")
		for i, ref := range refs {
			got, err := b.Wait(w.within(time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
			if err != nil || string(got.Output) != fmt.Sprint(i+1) {
				t.Errorf("%s: %v, output %s, %v", ref.ID, got.Status, got.Output, err)
			}
		}
	})
}

func TestGracefulStop(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		var refs []leader.InstanceRef
		for i := range 6 {
			req := startOf("fan", fmt.Sprint("x", i), 12)
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			refs = append(refs, req.Instance)
		}
		start := time.Now()
		if err := w.nodes["a"].Stop(w.within(time.Minute)); err != nil {
			t.Errorf("stop: %v", err)
		}
		w.network.Crash("a")
		delete(w.nodes, "a")
		if took := time.Since(start); took > drainPatience {
			t.Errorf("stopping took %v", took)
		}
		// Leadership was handed over: the next request waits for no election.
		start = time.Now()
		w.run(w.nodes["b"], w.nodes["c"], startOf("chain", "after", 1))
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("a step after the stop took %v", took)
		}
		for _, ref := range refs {
			if i, err := w.nodes["b"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: ref, Ended: true}); err != nil || i.Status != history.Completed {
				t.Errorf("%s: %v, %v", ref.ID, i.Status, err)
			}
		}
		w.mu.Lock()
		total := w.runs["a"] + w.runs["b"] + w.runs["c"]
		w.mu.Unlock()
		if want := 6*12 + 1; total != want {
			t.Errorf("%d attempts ran, want %d: a graceful stop repeats none", total, want)
		}
	})
}

func TestAnotherClustersDataIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("x", 1)
		w.ready()
		w.crash("x")
		time.Sleep(2 * testDeathDelay) // until membership has forgotten x
		w.start("a", 1)
		w.ready()
		if _, err := w.tryStart("x", 1); !errors.Is(err, ErrOtherCluster) {
			t.Errorf("error %v", err)
		}
		w.run(w.nodes["a"], w.nodes["a"], startOf("chain", "x", 1))
	})
}

func TestDataDirErrors(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 1)
		w.ready()
		if _, err := openDataDir(w.disks["a"], "/data", "a"); !errors.Is(err, ErrLocked) {
			t.Errorf("locked: %v", err)
		}
		w.crash("a")
		if _, err := openDataDir(w.disks["a"], "/data", "b"); !errors.Is(err, ErrOtherNode) {
			t.Errorf("another node: %v", err)
		}
		d, err := openDataDir(w.disks["a"], "/data", "a")
		if err != nil {
			t.Fatal(err)
		}
		newer := d.get()
		newer.Format++
		if err := d.write(newer.encode()); err != nil {
			t.Fatal(err)
		}
		if err := d.close(); err != nil {
			t.Fatal(err)
		}
		if _, err := w.tryStart("a", 1); !errors.Is(err, ErrNewerFormat) {
			t.Errorf("newer format: %v", err)
		}
		damaged := d.get().encode()
		damaged[len(damaged)-3] ^= 1
		if err := d.write(damaged); err != nil {
			t.Fatal(err)
		}
		if _, err := w.tryStart("a", 1); !errors.Is(err, ErrCorrupt) {
			t.Errorf("damaged: %v", err)
		}
	})
}
