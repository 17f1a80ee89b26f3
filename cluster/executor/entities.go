package executor

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Entities runs the entities of a registry in this process. It implements
// [leader.EntityExecutor]. It keeps nothing between two runs: the leader gives the state.
type Entities struct {
	registry *reprise.Registry
	options  Options
	watch    *watch

	mu     sync.Mutex       // guards the fields below
	busy   map[entity]*turn // runs
	labels uint64           // the last label given to a run's goroutines
	closed bool
}

var _ leader.EntityExecutor = (*Entities)(nil)

// entity names an entity whatever the reign and its life: it never runs twice at a time
// in one process.
type entity struct {
	hub history.TaskHub
	id  history.InstanceID
}

func entityOf(key leader.ExecutionKey) entity { return entity{key.Hub, key.Instance} }

// NewEntities returns an executor for the registry's entities.
func NewEntities(registry *reprise.Registry, options Options) *Entities {
	options.fill()
	return &Entities{registry: registry, options: options, watch: newWatch(options), busy: make(map[entity]*turn)}
}

// Names returns the names of the entities that are bound, sorted.
func (e *Entities) Names() []string { return e.registry.Entities() }

// Operations implements [leader.EntityExecutor]. It returns when the user's code has given
// the word back, however long that takes. Operations are not begun once ctx is done.
func (e *Entities) Operations(ctx context.Context, req leader.EntityRequest) (history.Batch, error) {
	code, ok := e.registry.Entity(req.Name)
	if !ok {
		return history.Batch{}, leader.ErrUnbound
	}
	calls := make([]operation, len(req.Operations))
	for i, event := range req.Operations {
		var err error
		if calls[i], err = operationOf(event); err != nil {
			return history.Batch{}, fmt.Errorf("run entity %q: %w", req.Key.Instance, err)
		}
	}
	t, err := e.begin(ctx, req)
	if err != nil {
		return history.Batch{}, err
	}
	defer e.end(t)
	run := code.Begin(reprise.EntityInfo{
		Hub: req.Key.Hub, Entity: req.Key.Instance, Execution: req.Key.Execution, Now: req.Now, NextID: req.NextID, Crowded: req.Crowded,
	}, req.State)
	for ctx.Err() == nil && len(run.Batch().Results) < len(calls) && !run.Full() {
		operate(ctx, t.label, run, calls)
	}
	if err := ctx.Err(); err != nil {
		return history.Batch{}, err
	}
	batch := run.Batch()
	for i, r := range batch.Results {
		if r.Failure != nil && calls[i].signal {
			e.options.Logger.Warn("a signaled operation failed, and nobody is told", "taskhub", string(req.Key.Hub),
				"entity", string(req.Key.Instance), "operation", calls[i].name, "error", r.Failure.Message, "stack", r.Failure.Stack)
		}
	}
	return batch, nil
}

// operate runs operations on a goroutine of its own, as far as there are any and the run
// is not full. It returns too when one has ended the goroutine.
func operate(ctx context.Context, label string, run *reprise.EntityRun, calls []operation) {
	over := make(chan struct{})
	go func() {
		defer close(over)
		labelled(label, func() {
			for n := len(run.Batch().Results); n < len(calls) && !run.Full() && ctx.Err() == nil; n++ {
				run.Do(calls[n].name, calls[n].trace, calls[n].input)
			}
		})
	}()
	<-over
}

// operation is what is asked of an entity.
type operation struct {
	name   string
	trace  history.Trace
	input  history.Payload
	signal bool
}

func operationOf(e history.Event) (operation, error) {
	switch b := e.Body.(type) {
	case *history.EntityOperationSignaled:
		return operation{b.Operation, b.Trace, b.Input, true}, nil
	case *history.EntityOperationCalled:
		return operation{b.Operation, b.Trace, b.Input, false}, nil
	}
	return operation{}, fmt.Errorf("%s is no operation", history.Describe(e))
}

// begin waits until the entity is not busy, and marks it busy.
func (e *Entities) begin(ctx context.Context, req leader.EntityRequest) (*turn, error) {
	id := entityOf(req.Key)
	e.mu.Lock()
	defer e.mu.Unlock()
	awaitTurn(ctx, &e.mu, e.busy, id)
	if e.closed {
		return nil, errClosed
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	e.labels++
	t := &turn{key: req.Key, name: req.Name, since: time.Now(), label: "entity " + strconv.FormatUint(e.labels, 10)}
	e.busy[id] = t
	e.watch.begin(t)
	return t, nil
}

// end marks the entity as not busy.
func (e *Entities) end(t *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, entityOf(t.key))
	e.watch.end(t)
	t.end()
}

// Stuck lists operations that do not end, the longest first. It is for people: it looks
// at every goroutine of the process.
func (e *Entities) Stuck() []Stuck { return e.watch.stuck() }

// Close waits until no user code runs any more, or ctx is done. Runs that are asked for
// from then on are refused.
func (e *Entities) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	var running []ending
	for _, t := range e.busy {
		running = append(running, t.ending())
	}
	e.watch.close()
	e.mu.Unlock()
	return waitForAll(ctx, running)
}
