package sim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"sync"
	"time"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
)

// plan is the input of a random orchestration: what it does follows from it.
type plan struct {
	Seed  uint64
	Steps int
	// Depth is how many parents it has.
	Depth int
}

// maxDepth is how deep children of children go.
const maxDepth = 2

// job is the input of an activity.
type job struct {
	Token uint64
	// Fails is how many attempts fail before one succeeds.
	Fails int
	// Takes is how long an attempt takes.
	Takes time.Duration
}

var (
	errFlaky = reprise.NewError("sim.flaky", "this attempt fails")
	errFatal = reprise.NewError("sim.fatal", "this activity fails for good")

	work   = reprise.NewActivity[job, uint64]("sim.work", reprise.Retry(4, 200*time.Millisecond))
	refuse = reprise.NewActivity[job, uint64]("sim.refuse")
	mixed  = reprise.NewOrchestration[plan, uint64]("sim.mixed")
	hold   = reprise.NewOrchestration[reprise.None, reprise.None]("sim.hold")
)

// resultOf is what the work activity returns for a token.
func resultOf(token uint64) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, token)
	return h.Sum64()
}

// step is one thing that a random orchestration does.
type step struct {
	kind string // activity, fan, sleep, fail, race, children, child race, stray
	jobs []job
	nap  time.Duration
	kids []plan
}

// steps are what a plan stands for; expected and the orchestrator both follow it.
func (p plan) steps() []step {
	rng := rand.New(rand.NewPCG(p.Seed, 3))
	randomJob := func() job {
		j := job{Token: rng.Uint64() >> 12, Takes: time.Duration(rng.IntN(20)) * time.Millisecond}
		if rng.IntN(6) == 0 {
			j.Fails = 1 + rng.IntN(3)
		}
		if rng.IntN(20) == 0 {
			j.Takes = time.Duration(rng.IntN(3000)) * time.Millisecond
		}
		return j
	}
	child := func() plan {
		return plan{Seed: rng.Uint64() >> 12, Steps: 1 + rng.IntN(2), Depth: p.Depth + 1}
	}
	kinds := 11
	if p.Depth == maxDepth {
		kinds = 8
	}
	steps := make([]step, p.Steps)
	for i := range steps {
		s := &steps[i]
		switch rng.IntN(kinds) {
		case 0:
			s.kind = "fan"
			for range 2 + rng.IntN(6) {
				s.jobs = append(s.jobs, randomJob())
			}
		case 1:
			s.kind, s.nap = "sleep", time.Duration(rng.IntN(4000))*time.Millisecond
		case 2:
			s.kind, s.jobs = "fail", []job{randomJob()}
		case 3:
			s.kind, s.jobs, s.nap = "race", []job{randomJob()}, time.Duration(rng.IntN(100))*time.Millisecond
		case 8:
			s.kind = "children"
			for range 1 + rng.IntN(4) {
				s.kids = append(s.kids, child())
			}
		case 9:
			s.kind, s.kids, s.nap = "child race", []plan{child()}, time.Duration(rng.IntN(300))*time.Millisecond
		case 10:
			s.kind, s.kids = "stray", []plan{child()}
		default:
			s.kind, s.jobs = "activity", []job{randomJob()}
		}
	}
	return steps
}

// expected is the output of an orchestration, computed without a cluster.
func (p plan) expected() uint64 {
	var sum uint64
	for i, s := range p.steps() {
		switch s.kind {
		case "activity", "fan":
			for _, j := range s.jobs {
				sum = sum*31 + resultOf(j.Token)
			}
		case "children":
			for _, kid := range s.kids {
				sum = sum*31 + kid.expected()
			}
		case "fail":
			sum = sum*31 + uint64(i)
		}
	}
	return sum >> 12 // so that JSON carries it exactly
}

// strays are the detached orchestrations that the plan is sure to start, by ID.
func (p plan) strays(all map[history.InstanceID]plan) {
	for _, s := range p.steps() {
		switch s.kind {
		case "children":
			for _, kid := range s.kids {
				kid.strays(all)
			}
		case "stray":
			all[strayID(s.kids[0])] = s.kids[0]
			s.kids[0].strays(all)
		}
	}
}

func strayID(p plan) history.InstanceID {
	return history.InstanceID(fmt.Sprintf("stray-%d", p.Seed))
}

func runMixed(o *reprise.Orchestration, p plan) (uint64, error) {
	var sum uint64
	for i, s := range p.steps() {
		switch s.kind {
		case "activity", "fan":
			var futures []reprise.Future[uint64]
			for _, j := range s.jobs {
				futures = append(futures, work.Start(o, j))
			}
			results, err := reprise.All(o, futures...)
			if err != nil {
				return 0, fmt.Errorf("step %d: %w", i, err)
			}
			for _, r := range results {
				sum = sum*31 + r
			}
		case "sleep":
			before := o.Now()
			o.Sleep(s.nap)
			if slept := o.Now().Sub(before); slept < s.nap {
				return 0, fmt.Errorf("step %d: slept %v instead of %v", i, slept, s.nap)
			}
		case "fail":
			_, err := refuse.Call(o, s.jobs[0])
			if !errors.Is(err, errFatal) {
				return 0, fmt.Errorf("step %d: an activity that fails returned %w", i, err)
			}
			sum = sum*31 + uint64(i)
		case "race":
			// Whoever wins, the loser is cancelled; the result may be either.
			_, err := reprise.WithTimeout(o, s.nap, work.Start(o, s.jobs[0]))
			if err != nil && !errors.Is(err, reprise.ErrTimeout) {
				return 0, fmt.Errorf("step %d: %w", i, err)
			}
		case "children":
			var futures []reprise.Future[uint64]
			for _, kid := range s.kids {
				futures = append(futures, mixed.Start(o, kid))
			}
			results, err := reprise.All(o, futures...)
			if err != nil {
				return 0, fmt.Errorf("step %d: %w", i, err)
			}
			for _, r := range results {
				sum = sum*31 + r
			}
		case "child race":
			_, err := reprise.WithTimeout(o, s.nap, mixed.Start(o, s.kids[0]))
			if err != nil && !errors.Is(err, reprise.ErrTimeout) {
				return 0, fmt.Errorf("step %d: %w", i, err)
			}
		case "stray":
			if _, err := mixed.StartDetached(o, s.kids[0], reprise.ChildID(strayID(s.kids[0]))); err != nil {
				return 0, fmt.Errorf("step %d: %w", i, err)
			}
		}
		if err := o.SetCustomStatus(i); err != nil {
			return 0, err
		}
	}
	return sum >> 12, nil
}

// ledger stands outside the cluster; activities write to it what they did.
type ledger struct {
	mu      sync.Mutex // guards effects
	effects map[string][]effect
}

// effect is one attempt of an activity.
type effect struct {
	node   peer.NodeID
	fence  reprise.Fence
	number int
	done   bool // it returned a result
}

func (l *ledger) note(ctx context.Context, node peer.NodeID, done bool) reprise.AttemptInfo {
	a := reprise.Attempt(ctx)
	l.mu.Lock()
	l.effects[a.Key] = append(l.effects[a.Key], effect{node, a.Fence, a.Number, done})
	l.mu.Unlock()
	return a
}

// registry binds what a node runs.
func (l *ledger) registry(node peer.NodeID) *reprise.Registry {
	r := reprise.NewRegistry(reprise.WithLogger(quiet))
	reprise.Bind(r, mixed, runMixed)
	reprise.Bind(r, collect, runCollect)
	bindBank(r)
	reprise.Bind(r, keepBook, runBook)
	bindVigil(r, func(ctx context.Context) { l.note(ctx, node, true) })
	reprise.Bind(r, hold, func(o *reprise.Orchestration, _ reprise.None) (reprise.None, error) {
		o.Sleep(10_000 * time.Hour)
		return reprise.None{}, nil
	})
	reprise.Bind(r, work, func(ctx context.Context, j job) (uint64, error) {
		pause(ctx, j.Takes)
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		if number := reprise.Attempt(ctx).Number; number <= j.Fails {
			l.note(ctx, node, false)
			return 0, fmt.Errorf("attempt %d: %w", number, errFlaky)
		}
		l.note(ctx, node, true)
		return resultOf(j.Token), nil
	})
	reprise.Bind(r, refuse, func(ctx context.Context, j job) (uint64, error) {
		l.note(ctx, node, true)
		return 0, errFatal
	})
	return r
}
