package e2e

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
)

// order is the input of an orchestration.
type order struct {
	ID string `json:"id"`
	N  int    `json:"n"`
	// Slow is how long each step takes.
	Slow time.Duration `json:"slow,omitempty"`
}

// stepInput is what one activity is to do.
type stepInput struct {
	Tag  string        `json:"tag"`
	N    int           `json:"n"`
	Slow time.Duration `json:"slow,omitempty"`
}

// stepOutput is what it did.
type stepOutput struct {
	Tag     string `json:"tag"`
	N       int    `json:"n"`
	Receipt int64  `json:"receipt"`
}

// The contracts.
var (
	fill = reprise.NewOrchestration[order, []stepOutput]("e2e.fill")
	// double notes an effect in the ledger and doubles a number. Its first attempt
	// fails for some numbers, before the effect or after it.
	double = reprise.NewActivity[stepInput, stepOutput]("e2e.double", reprise.Retry(20, 10*time.Millisecond))
)

var errPlanned = errors.New("fails as planned")

// errStale would fail an order if it were ever recorded.
var errStale = reprise.NewError("e2e.stale", "the ledger has seen a higher fence")

// bind binds the contracts to functions that write to the ledger.
func bind(r *reprise.Registry, l *ledgerClient) {
	reprise.Bind(r, fill, fillOrder)
	reprise.Bind(r, double, func(ctx context.Context, in stepInput) (stepOutput, error) {
		first := reprise.Attempt(ctx).Number == 1
		if in.N%17 == 3 && first {
			return stepOutput{}, errPlanned
		}
		if in.Slow > 0 {
			timer := time.NewTimer(in.Slow)
			defer timer.Stop()
			select {
			case <-ctx.Done():
				return stepOutput{}, ctx.Err()
			case <-timer.C:
			}
		}
		n, err := l.write(ctx, in.Tag)
		switch {
		case err != nil:
			return stepOutput{}, err
		case n.Stale:
			return stepOutput{}, reprise.NonRetryable(errStale)
		case in.N%17 == 5 && first:
			return stepOutput{}, errPlanned
		}
		return stepOutput{in.Tag, 2 * in.N, n.Receipt}, nil
	})
}

// fillOrder runs two steps in sequence, a durable timer in some orders, three
// steps at once, and one more. Every step takes what came before.
func fillOrder(o *reprise.Orchestration, in order) ([]stepOutput, error) {
	var done []stepOutput
	next := func(n int) stepInput {
		return stepInput{fmt.Sprintf("%s/%d", in.ID, len(done)), n, in.Slow}
	}
	at := in.N
	for range 2 {
		out, err := double.Call(o, next(at))
		if err != nil {
			return done, err
		}
		done, at = append(done, out), out.N
	}
	if in.N%4 == 0 {
		o.Sleep(50 * time.Millisecond)
	}
	var futures []reprise.Future[stepOutput]
	for i := range 3 {
		input := stepInput{fmt.Sprintf("%s/%d", in.ID, len(done)+i), at + i, in.Slow}
		futures = append(futures, double.Start(o, input))
	}
	outs, err := reprise.All(o, futures...)
	if err != nil {
		return done, err
	}
	sum := 0
	for _, out := range outs {
		sum += out.N
	}
	done = append(done, outs...)
	out, err := double.Call(o, next(sum))
	return append(done, out), err
}

// expected returns the numbers that the steps of an order give.
func expected(in order) []int {
	a := 2 * in.N
	b := 2 * a
	c, d, e := 2*b, 2*(b+1), 2*(b+2)
	return []int{a, b, c, d, e, 2 * (c + d + e)}
}
