package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seed    = flag.Uint64("sim.seed", 0, "seed of the simulation; 0 takes one from the clock")
	life    = flag.Duration("sim.life", 30*time.Minute, "simulated time under faults of each life")
	lives   = flag.Int("sim.lives", 2, "how many clusters are simulated, as many at a time as there are processors")
	nodes   = flag.Int("sim.nodes", 3, "nodes of the simulated cluster")
	verbose = flag.String("sim.log", "", "print what the nodes say, from this level on: debug, info, warn")
)

// TestSimulation is the general proof: docs/guarantees.md holds under everything that the
// nemesis does. Each life has a seed of its own; together they must not be void.
func TestSimulation(t *testing.T) {
	first := options().Seed
	t.Logf("seed %d (repeat with -sim.seed)", first)
	reports := make([]Report, *lives)
	t.Run("lives", func(t *testing.T) {
		for i := range reports {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				o := options()
				o.Seed = first + uint64(i)
				synctest.Test(t, func(t *testing.T) {
					reports[i] = Run(o)
					t.Log(reports[i])
					if len(reports[i].Problems) > 0 {
						t.Error("promises were broken")
					}
				})
			})
		}
	})
	var sum Report
	for _, r := range reports {
		sum.Acked += r.Acked
		sum.Reigns += r.Reigns
		sum.Stale += r.Stale
		sum.Banked += r.Banked
		sum.Canceled += r.Canceled
		sum.Books += r.Books
		sum.Followed += r.Followed
	}
	if void := sum.Void(); void != "" {
		t.Errorf("the run is void: %s", void)
	}
}

// Where there are more nodes than replicas, no node has the state of all partitions: the
// checks at the end look at those that have it.
func TestMoreNodesThanReplicas(t *testing.T) {
	o := options()
	t.Logf("seed %d (repeat with -sim.seed)", o.Seed)
	o.Nodes, o.Life = 5, 2*time.Minute
	synctest.Test(t, func(t *testing.T) {
		report := Run(o)
		t.Log(report)
		if len(report.Problems) > 0 {
			t.Error("promises were broken")
		}
	})
}

func options() Options {
	o := Options{Seed: *seed, Nodes: *nodes, Life: *life, Clients: 8}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if *verbose != "" {
		var level slog.Level
		if err := level.UnmarshalText([]byte(*verbose)); err != nil {
			panic(err)
		}
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	return o
}
