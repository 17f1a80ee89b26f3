package sim

import (
	"flag"
	"log/slog"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seed    = flag.Uint64("sim.seed", 0, "seed of the simulation; 0 takes one from the clock")
	life    = flag.Duration("sim.life", time.Hour, "simulated time under faults")
	nodes   = flag.Int("sim.nodes", 3, "nodes of the simulated cluster")
	verbose = flag.Bool("sim.log", false, "print what the nodes say")
)

// TestSimulation is the general proof: GUARANTEES hold under everything that the
// nemesis does.
func TestSimulation(t *testing.T) {
	o := options()
	t.Logf("seed %d (repeat with -sim.seed)", o.Seed)
	synctest.Test(t, func(t *testing.T) {
		r := Run(o)
		t.Log(r)
		if len(r.Problems) > 0 {
			t.Error("promises were broken")
		}
		if void := r.Void(); void != "" {
			t.Errorf("the run is void: %s", void)
		}
	})
}

func options() Options {
	o := Options{Seed: *seed, Nodes: *nodes, Life: *life, Clients: 8}
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if *verbose {
		o.Logger = slog.New(slog.NewTextHandler(os.Stderr, nil))
	}
	return o
}
