package bench

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// The poison of BenchmarkPoison. What has no end by itself has one here after about ten
// times the steps of a healthy orchestration: so many of them stand for what one of them
// would do alone, and the run measures harm, not how much work they are.
var (
	panicking = reprise.NewOrchestration[reprise.None, reprise.None]("bench.panicking")
	exploding = reprise.NewOrchestration[reprise.None, reprise.None]("bench.exploding")
	explode   = reprise.NewActivity[reprise.None, reprise.None]("bench.explode")
	leaking   = reprise.NewOrchestration[reprise.None, reprise.None]("bench.leaking")
	leak      = reprise.NewActivity[reprise.None, reprise.None]("bench.leak")
	giant     = reprise.NewOrchestration[reprise.None, string]("bench.giant")
	lengthy   = reprise.NewOrchestration[reprise.None, reprise.None]("bench.lengthy")
	flooding  = reprise.NewOrchestration[reprise.None, reprise.None]("bench.flooding")
	deaf      = reprise.NewOrchestration[reprise.None, reprise.None]("bench.deaf")
	raising   = reprise.NewOrchestration[history.InstanceID, reprise.None]("bench.raising")
	looping   = reprise.NewOrchestration[reprise.None, reprise.None]("bench.looping")
	drum      = reprise.NewEntity[int]("bench.drum")
	drumming  = reprise.NewOperation[int, reprise.None](drum, "drumming")
)

// poisonSteps is how far poison without an end goes.
const poisonSteps = 50

// bindPoison binds the poison.
func bindPoison(r *reprise.Registry) {
	reprise.Bind(r, panicking, func(*reprise.Orchestration, reprise.None) (reprise.None, error) { panic("poison") })
	reprise.Bind(r, exploding, func(o *reprise.Orchestration, in reprise.None) (reprise.None, error) { return explode.Call(o, in) })
	reprise.Bind(r, explode, func(context.Context, reprise.None) (reprise.None, error) { panic("poison") })
	reprise.Bind(r, leaking, func(o *reprise.Orchestration, in reprise.None) (reprise.None, error) { return leak.Call(o, in) })
	reprise.Bind(r, leak, func(ctx context.Context, in reprise.None) (reprise.None, error) {
		go func() { // it outlives the activity
			for range poisonSteps {
				_ = reprise.Heartbeat(ctx, nil) // says that nobody wants it
				time.Sleep(100 * time.Millisecond)
			}
		}()
		return in, nil
	})
	reprise.Bind(r, giant, func(*reprise.Orchestration, reprise.None) (string, error) {
		return strings.Repeat("x", history.MaxPayloadBytes), nil // and the quotes
	})
	reprise.Bind(r, lengthy, func(o *reprise.Orchestration, in reprise.None) (reprise.None, error) {
		for range 20 * poisonSteps { // all in one turn
			if _, err := step.Call(o, newValue(0), reprise.Local()); err != nil {
				return in, err
			}
		}
		return in, nil
	})
	reprise.Bind(r, deaf, func(o *reprise.Orchestration, in reprise.None) (reprise.None, error) { return in, o.Sleep(time.Hour) })
	reprise.Bind(r, flooding, func(o *reprise.Orchestration, in reprise.None) (reprise.None, error) {
		to := "deaf to " + o.InstanceID()
		if _, err := deaf.StartDetached(o, in, reprise.ChildID(to)); err != nil {
			return in, err
		}
		for range poisonSteps {
			if err := item.Send(o, to, newValue(1)); err != nil {
				return in, err
			}
		}
		return in, nil
	})
	// Two that answer each other's event; the first to start begins.
	reprise.Bind(r, raising, func(o *reprise.Orchestration, other history.InstanceID) (in reprise.None, err error) {
		if other == "" {
			other = "answers " + o.InstanceID()
			if _, err := raising.StartDetached(o, o.InstanceID(), reprise.ChildID(other)); err != nil {
				return in, err
			}
			if err := item.Send(o, other, newValue(1)); err != nil {
				return in, err
			}
		}
		for range poisonSteps / 2 {
			if _, err := reprise.WithTimeout(o, time.Minute, item.Receive(o)); err != nil {
				return in, err
			}
			if err := item.Send(o, other, newValue(1)); err != nil {
				return in, err
			}
		}
		return in, nil
	})
	reprise.Bind(r, drumming, func(e *reprise.EntityContext, n *int, most int) (none reprise.None, err error) {
		*n++
		for i := 0; i < 2 && *n <= most && err == nil; i++ {
			err = drumming.Signal(e, drum.Key(e.Key()), most)
		}
		return none, err
	})
	reprise.Bind(r, looping, func(*reprise.Orchestration, reprise.None) (reprise.None, error) {
		for n := 0; ; n++ { // nobody can stop it
			if n < 0 {
				n = 0
			}
		}
	})
}

// poisoner starts poison of one kind after the other.
type poisoner struct {
	started atomic.Uint64
	mu      sync.Mutex // guards the field below
	refused []string   // what the starts said that failed
}

// orchestrationsOfPoison are the kinds that are started; the entity is one more.
var orchestrationsOfPoison = []reprise.Orchestrator[reprise.None, reprise.None]{panicking, exploding, leaking, lengthy, flooding}

// next starts the next poison.
func (p *poisoner) next(ctx context.Context, c *client.Client) {
	n := p.started.Add(1)
	kinds := uint64(len(orchestrationsOfPoison))
	var err error
	switch kind := n % (kinds + 3); kind {
	case kinds:
		_, err = client.Run(ctx, c, giant, reprise.None{})
	case kinds + 1:
		_, err = client.Run(ctx, c, raising, "")
	case kinds + 2:
		err = client.Signal(ctx, c, drum.Key(fmt.Sprint(n)), drumming, poisonSteps)
	default:
		_, err = client.Run(ctx, c, orchestrationsOfPoison[kind], reprise.None{})
	}
	if err != nil {
		p.mu.Lock()
		p.refused = append(p.refused, err.Error())
		p.mu.Unlock()
	}
}
