package bench

import (
	"context"
	"strings"

	"github.com/reprise-run/reprise"
)

// value is what every step takes and gives: about 100 bytes of JSON.
type value struct {
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

var padding = strings.Repeat("x", 80)

func newValue(n int) value { return value{N: n, Pad: padding} }

// The contracts of the workloads.
var (
	step = reprise.NewActivity[value, value]("bench.step")

	// sequence runs N activities one after the other (W1, W6).
	sequence = reprise.NewOrchestration[value, value]("bench.sequence")
	// fanOut runs N activities in parallel and waits for all (W2).
	fanOut = reprise.NewOrchestration[value, value]("bench.fan-out")
	// family runs N children in parallel, each with one activity, and waits for all
	// (W5).
	family = reprise.NewOrchestration[value, value]("bench.family")
	// empty ends at once (W3).
	empty = reprise.NewOrchestration[value, value]("bench.empty")
)

// bind binds the workloads.
func bind(r *reprise.Registry) {
	reprise.Bind(r, step, func(_ context.Context, in value) (value, error) {
		return newValue(in.N + 1), nil
	})
	reprise.Bind(r, sequence, func(o *reprise.Orchestration, in value) (value, error) {
		at := newValue(0)
		for range in.N {
			var err error
			if at, err = step.Call(o, at); err != nil {
				return at, err
			}
		}
		return at, nil
	})
	reprise.Bind(r, fanOut, func(o *reprise.Orchestration, in value) (value, error) {
		futures := make([]reprise.Future[value], in.N)
		for i := range futures {
			futures[i] = step.Start(o, newValue(0))
		}
		results, err := reprise.All(o, futures...)
		sum := 0
		for _, r := range results {
			sum += r.N
		}
		return newValue(sum), err
	})
	reprise.Bind(r, family, func(o *reprise.Orchestration, in value) (value, error) {
		futures := make([]reprise.Future[value], in.N)
		for i := range futures {
			futures[i] = sequence.Start(o, newValue(1))
		}
		results, err := reprise.All(o, futures...)
		sum := 0
		for _, r := range results {
			sum += r.N
		}
		return newValue(sum), err
	})
	reprise.Bind(r, empty, func(_ *reprise.Orchestration, in value) (value, error) { return in, nil })
}
