package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
)

// increments is how many one orchestration makes.
const increments = 10

// BenchmarkW8 calls increments, ten in an orchestration, each of one of 100 entities.
func BenchmarkW8(b *testing.B) {
	before := 0
	w := workload{name: "W8", orchestration: incrementer, input: newValue(increments), steps: increments}
	loops(b, w, func(b *testing.B, api *client.Client, r *result) {
		checkCounters(b, api, "", &before, r)
	}, 64)
}

// BenchmarkW9 makes transfers. A step is a transfer: two operations in a critical section
// over two entities.
func BenchmarkW9(b *testing.B) {
	loops(b, workload{name: "W9", orchestration: transfer, input: newValue(1), steps: 1}, func(b *testing.B, api *client.Client, r *result) {
		sum, n := 0, 0
		for e, err := range client.Entities(b.Context(), api, account) {
			if err != nil {
				b.Fatal(err)
			}
			sum += e.State.N
			n++
			if e.LockedBy != "" {
				b.Errorf("%s is still locked, by %s", e.Ref, e.LockedBy)
			}
		}
		if sum != n*opening {
			b.Errorf("%d accounts have %d together, want %d", n, sum, n*opening)
		}
		r.note = fmt.Sprintf("the sum over %d accounts is what it was", n)
	}, 64)
}

// BenchmarkW10 signals one entity. A step is a signal that is acknowledged.
func BenchmarkW10(b *testing.B) {
	before := 0
	w := workload{name: "W10", steps: 1, once: signalOne}
	loops(b, w, func(b *testing.B, api *client.Client, r *result) {
		checkCounters(b, api, "one", &before, r)
	}, 64)
}

// checkCounters checks that every increment of a run was counted once.
func checkCounters(b *testing.B, api *client.Client, key string, before *int, r *result) {
	began := time.Now()
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	sum, err := counted(ctx, api, key, *before+r.steps)
	if err != nil || sum != *before+r.steps {
		b.Errorf("%d increments were counted, want %d; %v", sum-*before, r.steps, err)
	}
	*before = sum
	r.note = fmt.Sprintf("all %d were counted once, %.0f ms after the last was acknowledged", r.steps, milliseconds(time.Since(began)))
}
