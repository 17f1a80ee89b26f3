package e2e

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/testcluster"
)

// The pace of the storm.
const (
	betweenKills = 3 * time.Second // at least, from one kill to the next
	shortestDown = 100 * time.Millisecond
	longestDown  = 1500 * time.Millisecond
	// everyBusiest says that every third kill is of the node that leads most.
	everyBusiest = 3
	// patience is how long after the storm everything must have ended.
	patience = 2 * time.Minute
)

// TestStorm kills nodes without warning, one every few seconds, under a steady
// load.
func TestStorm(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	c, api, ledger := cluster(t)
	load := begin(t.Context(), api, *rateFlag, 0, "storm")
	storm := storm{rand: rand.New(rand.NewPCG(seed, 0))}
	for began := time.Now(); time.Since(began) < *stormFlag || storm.kills < *killsFlag; {
		if err := storm.strike(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	starts := load.end()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := c.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	v := judge(ctx, t, api, ledger, starts)
	t.Logf("%d kills, %d of them of the node that led most; %d starts left out", storm.kills, storm.busiest, load.skipped)
	report(t, v, ledger, starts)
	if err := c.Died(); err != nil {
		t.Error(err)
	}
	if storm.busiest < 5 || storm.kills < 15 || v.acked < 1000 {
		t.Error("void: too little happened")
	}
}

// storm decides who is killed and for how long.
type storm struct {
	rand           *rand.Rand
	kills, busiest int
}

// strike kills a node, starts it again, and returns when the cluster is whole and
// it is time for the next.
func (s *storm) strike(ctx context.Context, c *testcluster.Cluster) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	began := time.Now()
	victim := c.Nodes[s.rand.IntN(len(c.Nodes))]
	if s.kills%everyBusiest == 0 {
		if busiest, _ := c.Busiest(ctx); busiest != nil {
			victim = busiest
			s.busiest++
		}
	}
	if err := victim.Kill(); err != nil {
		return err
	}
	s.kills++
	down := shortestDown + time.Duration(s.rand.Int64N(int64(longestDown-shortestDown)))
	if err := pause(ctx, down); err != nil {
		return err
	}
	if err := victim.Start(ctx); err != nil {
		return err
	}
	if err := c.Ready(ctx); err != nil {
		return err
	}
	return pause(ctx, betweenKills-time.Since(began))
}

// pause waits as the plan of a test says; it waits for nothing in particular.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
