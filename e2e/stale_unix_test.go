//go:build unix

package e2e

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/reprise-run/reprise/internal/testcluster"
)

// TestStaleWorkIsRejected stops a node that leads in the middle of its work, lets
// the others go on without it, and wakes it: it still believes that it leads, and
// its activities end with results that nobody wants any more. None of that may be
// recorded, and some of it must have been seen and refused, or the test proves
// nothing.
func TestStaleWorkIsRejected(t *testing.T) {
	c, api, ledger := cluster(t)
	load := begin(t.Context(), api, *rateFlag/2, 200*time.Millisecond, "stale")
	const rounds = 3
	refused := uint64(0)
	for round := 1; round <= rounds && refused == 0; round++ {
		var err error
		if refused, err = stopAndWake(t.Context(), c, ledger); err != nil {
			t.Fatal(err)
		}
		t.Logf("round %d: %d pieces of stale work were refused", round, refused)
	}
	starts := load.end()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	v := judge(ctx, t, api, ledger, starts)
	report(t, v, ledger, starts)
	if err := c.Died(); err != nil {
		t.Error(err)
	}
	if refused == 0 {
		t.Errorf("void: no stale work was seen in %d rounds", rounds)
	}
}

// stopAndWake stops the node that leads most until others lead in its place and
// have given up on what it was doing, wakes it, and returns how much stale work
// was refused since.
func stopAndWake(ctx context.Context, c *testcluster.Cluster, l *ledger) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := pause(ctx, 2*time.Second); err != nil { // let work gather
		return 0, err
	}
	victim, partitions := c.Busiest(ctx)
	if victim == nil {
		return 0, fmt.Errorf("nobody leads")
	}
	before := staleWork(ctx, c, l)
	if err := victim.Signal(syscall.SIGSTOP); err != nil {
		return 0, err
	}
	taken := until(ctx, func() bool {
		leaders := c.Leaders(ctx)
		for _, p := range partitions {
			if leaders[p] == "" || leaders[p] == victim.Name() {
				return false
			}
		}
		return true
	})
	// A new leader asks a silent node for 5 s at most what it is doing.
	given := pause(ctx, 6*time.Second)
	if err := victim.Signal(syscall.SIGCONT); err != nil {
		return 0, err
	}
	if taken != nil {
		return 0, fmt.Errorf("nobody took over from %s: %w", victim.Name(), taken)
	}
	if given != nil {
		return 0, given
	}
	if err := c.Ready(ctx); err != nil {
		return 0, err
	}
	seen, cancelSeen := context.WithTimeout(ctx, 10*time.Second)
	defer cancelSeen()
	var refused uint64
	_ = until(seen, func() bool { // nothing refused in this round is no error
		now := staleWork(ctx, c, l)
		refused = max(now, before) - before // a node that does not answer is missing in the sum
		return refused > 0
	})
	return refused, nil
}

// staleWork counts what was refused as stale: by logs, by leaders, by workers and
// by the ledger. A node that is stopped counts with what it had, so it must run.
func staleWork(ctx context.Context, c *testcluster.Cluster, l *ledger) uint64 {
	_, _, stale, _ := l.summary()
	sum := uint64(stale)
	for _, r := range c.Reports(ctx) {
		if r != nil {
			sum += r.Stats.StaleEntries + r.Stats.StaleWork + r.Stats.Work.StaleResults
		}
	}
	return sum
}

// until asks again and again, because only processes know the answer.
func until(ctx context.Context, done func() bool) error {
	for !done() {
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
	return nil
}
