package cluster

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
)

// foundingStages are the moments of a founding by a, of which b hears before c.
var foundingStages = []struct {
	name    string
	reached func(a, b, c nodeRecord) bool
}{
	{"proposed", func(a, _, _ nodeRecord) bool { return a.Founding != nil }},
	{"b accepted", func(_, b, _ nodeRecord) bool { return b.Founding != nil }},
	{"c accepted", func(_, _, c nodeRecord) bool { return c.Founding != nil }},
	{"decided", func(a, _, _ nodeRecord) bool { return a.Founding != nil && a.Founding.Servers != nil }},
	{"a founded", func(a, _, _ nodeRecord) bool { return a.Cluster != "" }},
	{"b founded", func(_, b, _ nodeRecord) bool { return b.Cluster != "" }},
	{"c founded", func(_, _, c nodeRecord) bool { return c.Cluster != "" }},
}

// TestCrashWhileFounding crashes each node at each stage of a founding, with and
// without its disk. There must be one cluster in the end, of all three.
func TestCrashWhileFounding(t *testing.T) {
	for _, stage := range foundingStages {
		for _, victim := range []string{"a", "b", "c"} {
			for _, lost := range []bool{false, true} {
				name := fmt.Sprintf("%s, %s crashes", stage.name, victim)
				if lost {
					name += " and loses its disk"
				}
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T, w *testWorld) {
						w.foundUntil(stage.reached)
						w.crash(victim)
						if lost {
							delete(w.disks, victim)
						}
						time.Sleep(3 * time.Second) // the others note that it is gone and go on, or wait
						w.start(victim, 3)
						w.oneCluster()
					})
				})
			}
		}
	}
}

// foundUntil starts three nodes and lets them found a cluster up to a stage.
// Messages are slow, so that each stage lasts.
func (w *testWorld) foundUntil(reached func(a, b, c nodeRecord) bool) {
	w.t.Helper()
	w.network.SetUsual(peer.Fault{MinDelay: 20 * time.Millisecond, MaxDelay: 20 * time.Millisecond})
	for _, name := range []string{"a", "b", "c"} {
		w.start(name, 3)
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if reached(w.nodes["a"].data.get(), w.nodes["b"].data.get(), w.nodes["c"].data.get()) {
			return
		}
	}
	w.t.Fatal("the stage is never reached")
}

// oneCluster waits until three nodes are one cluster that works.
func (w *testWorld) oneCluster() {
	w.t.Helper()
	w.ready()
	d := w.eventually(w.nodes["a"], "every group has three voters", func(d Description) bool {
		for _, p := range d.Partitions {
			voters := 0
			for _, r := range p.Replicas {
				if r.Voter && r.Reachable {
					voters++
				}
			}
			if voters != 3 || len(p.Replicas) != 3 {
				return false
			}
		}
		return len(d.Partitions) == 5
	})
	for name, n := range w.nodes {
		if got := n.clusterID(); got != d.ClusterID {
			w.t.Errorf("%s is in cluster %s, others in %s", name, got, d.ClusterID)
		}
		if err := w.fatal[name]; err != nil {
			w.t.Errorf("%s ended: %v", name, err)
		}
	}
	w.run(w.nodes["a"], w.nodes["c"], startOf("chain", "x", 2))
}

// TestProposerIsLostAfterItToldSome: b knows that the cluster is founded and c
// does not; both have to go on without a.
func TestProposerIsLostAfterItToldSome(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.foundUntil(func(_, b, c nodeRecord) bool { return b.Cluster != "" && c.Cluster == "" })
		w.crash("a")
		for _, name := range []string{"b", "c"} {
			if err := w.nodes[name].Ready(w.within(time.Minute)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		delete(w.disks, "a")
		w.start("a", 3)
		w.oneCluster()
	})
}

// TestLogsAreLostWhileFounding: the node remembers that it agreed, but its
// replicas are others now.
func TestLogsAreLostWhileFounding(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.foundUntil(func(a, b, _ nodeRecord) bool {
			return a.Founding != nil && a.Founding.Servers != nil && b.Cluster == ""
		})
		w.crash("b")
		if err := w.disks["b"].RemoveAll("/data/raft"); err != nil {
			t.Fatal(err)
		}
		w.start("b", 3)
		w.oneCluster()
	})
}

// TestRestartOfProposerWhileAnotherIsGone: what is left to tell a dead node keeps
// the proposer from nothing.
func TestRestartOfProposerWhileAnotherIsGone(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.foundUntil(func(_, _, c nodeRecord) bool { return c.Cluster != "" })
		w.crash("b")
		w.crash("a")
		w.start("d", 0)
		w.start("a", 3)
		w.eventually(w.nodes["a"], "the layout has the new node", func(d Description) bool { return len(d.Nodes) == 4 })
	})
}

// TestBelongsBeforeItKnowsTheLayout: a node notes that it belongs to a cluster, and
// learns the layout next. In between, its tend runs: it waits for the same lock as
// the note, and goes on with it.
func TestBelongsBeforeItKnowsTheLayout(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a := w.start("a", 3)
		w.start("b", 3)
		time.Sleep(time.Second) // until they see each other
		if err := a.data.update(func(r *nodeRecord) { r.Cluster = "x" }); err != nil {
			t.Fatal(err)
		}
		if settled, err := a.settle(t.Context()); settled || err != nil {
			t.Errorf("settled: %v, %v", settled, err)
		}
	})
}

// TestLateProposal: what a node has given up does not come back.
func TestLateProposal(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.foundUntil(func(_, b, _ nodeRecord) bool { return b.Founding != nil })
		b := w.nodes["b"]
		w.crash("a")
		first := b.data.get().Founding
		again := *first
		layout := *first.Layout
		layout.Cluster, again.Layout = "another", &layout
		before, err := b.accept(first)
		if err != nil {
			t.Fatal(err)
		}
		after, err := b.accept(&again)
		if err != nil {
			t.Fatalf("the proposer lost its disk and proposes anew: %v", err)
		}
		for g, id := range after {
			if id == before[g] {
				t.Errorf("replica %s of group %d is in both clusters", id, g)
			}
		}
		if _, err := b.accept(first); !errors.Is(err, ErrOtherCluster) {
			t.Errorf("the first proposal, late: %v", err)
		}
		third := layout
		third.Cluster = "a third"
		other := founding{Proposer: "z", Layout: &third}
		if _, err := b.accept(&other); !errors.Is(err, ErrOtherCluster) {
			t.Errorf("proposal of another node: %v", err)
		}
		w.start("a", 3)
	})
}

var foundingsFlag = flag.Int("foundings", 20, "how many foundings TestFoundingInBadWeather does")

// TestFoundingInBadWeather founds clusters on a network that loses, doubles,
// reorders and delays, by nodes that start one after the other, crash, lose their
// disks, are cut off and freeze. In good weather, one cluster comes of each.
func TestFoundingInBadWeather(t *testing.T) {
	for seed := range uint64(*foundingsFlag) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *testWorld) {
				rng := rand.New(rand.NewPCG(seed, 1))
				w.network = peer.NewMemory(seed)
				upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
				w.network.SetUsual(peer.Fault{
					Drop: 0.3 * rng.Float64(), Duplicate: 0.2 * rng.Float64(), Reorder: 0.5 * rng.Float64(),
					MaxDelay: time.Millisecond + upTo(400*time.Millisecond),
				})
				names := []string{"a", "b", "c"}
				rng.Shuffle(3, func(i, j int) { names[i], names[j] = names[j], names[i] })
				for _, name := range names {
					w.start(name, 3)
					time.Sleep(upTo(time.Second << rng.IntN(4)))
				}
				for range rng.IntN(5) {
					name := names[rng.IntN(3)]
					switch rng.IntN(4) {
					case 0:
						w.crash(name)
						time.Sleep(upTo(4 * time.Second))
						w.start(name, 3)
					case 1:
						// Not while others may remember it as a voter: see TestCrashWhileFounding.
						lost := w.nodes[name].clusterID() == ""
						w.crash(name)
						if lost {
							delete(w.disks, name)
						}
						time.Sleep(upTo(4 * time.Second))
						w.start(name, 3)
					case 2:
						var others []peer.NodeID
						for _, other := range names {
							others = append(others, peer.NodeID(other))
						}
						w.network.Isolate([]peer.NodeID{peer.NodeID(name)}, others)
						time.Sleep(upTo(4 * time.Second))
						w.network.Heal()
					case 3:
						w.network.Pause(peer.NodeID(name))
						time.Sleep(upTo(4 * time.Second))
						w.network.Resume(peer.NodeID(name))
					}
					time.Sleep(upTo(2 * time.Second))
				}
				w.network.SetUsual(peer.Fault{})
				w.oneCluster()
			})
		})
	}
}
