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
	// heavyStep returns all that it is given.
	heavyStep = reprise.NewActivity[value, value]("bench.heavy-step")

	// sequence runs N activities one after the other (W1, W6).
	sequence = reprise.NewOrchestration[value, value]("bench.sequence")
	// fanOut runs N activities in parallel and waits for all (W2).
	fanOut = reprise.NewOrchestration[value, value]("bench.fan-out")
	// family runs N children in parallel, each with one activity, and waits for all
	// (W5).
	family = reprise.NewOrchestration[value, value]("bench.family")
	// localSequence is sequence with local activities (W1L).
	localSequence = reprise.NewOrchestration[value, value]("bench.local-sequence")
	// heavySequence is sequence that hands its whole input from step to step (W11).
	heavySequence = reprise.NewOrchestration[value, value]("bench.heavy-sequence")
	// listener takes N events one after the other (W4).
	listener = reprise.NewOrchestration[value, value]("bench.listener")
	item     = reprise.NewEvent[value]("item")
	// sleeper sleeps and returns how late it was woken (W7).
	sleeper = reprise.NewOrchestration[nap, nap]("bench.sleeper")
	// eternal runs one activity and continues as new, N times.
	eternal = reprise.NewOrchestration[value, value]("bench.eternal")
	// chain starts itself as its own child, N deep (W5).
	chain = reprise.NewOrchestration[value, value]("bench.chain")
	// empty ends at once (W3).
	empty = reprise.NewOrchestration[value, value]("bench.empty")
)

// bind binds the workloads.
func bind(r *reprise.Registry) {
	bindEntities(r)
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
	reprise.Bind(r, localSequence, func(o *reprise.Orchestration, in value) (value, error) {
		at := newValue(0)
		for range in.N {
			var err error
			if at, err = step.Call(o, at, reprise.Local()); err != nil {
				return at, err
			}
		}
		return at, nil
	})
	reprise.Bind(r, heavySequence, func(o *reprise.Orchestration, in value) (value, error) {
		at := value{Pad: in.Pad}
		for range in.N {
			var err error
			if at, err = heavyStep.Call(o, at); err != nil {
				return at, err
			}
		}
		return at, nil
	})
	reprise.Bind(r, heavyStep, func(_ context.Context, in value) (value, error) {
		return value{N: in.N + 1, Pad: in.Pad}, nil
	})
	reprise.Bind(r, listener, func(o *reprise.Orchestration, in value) (value, error) {
		sum := 0
		for range in.N {
			v, err := item.Await(o)
			if err != nil {
				return value{}, err
			}
			sum += v.N
		}
		return newValue(sum), nil
	})
	reprise.Bind(r, sleeper, sleep)
	reprise.Bind(r, eternal, func(o *reprise.Orchestration, in value) (value, error) {
		if in.N == 0 {
			return in, nil
		}
		if _, err := step.Call(o, in); err != nil {
			return in, err
		}
		return in, eternal.ContinueAsNew(o, newValue(in.N-1))
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
	reprise.Bind(r, chain, func(o *reprise.Orchestration, in value) (value, error) {
		if in.N <= 1 {
			return in, nil
		}
		below, err := chain.Call(o, newValue(in.N-1))
		return newValue(below.N + 1), err
	})
	reprise.Bind(r, empty, func(_ *reprise.Orchestration, in value) (value, error) { return in, nil })
}
