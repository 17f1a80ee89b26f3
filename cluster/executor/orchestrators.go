package executor

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Options bound what [Orchestrators] and [Entities] do, and name the node. Zero values take
// the defaults.
type Options struct {
	// Node is the name of this node, for people.
	Node string
	// TurnLimit is how long an episode, or a run of operations, may take before it is
	// reported; 10 s is the default.
	TurnLimit time.Duration
	// KeptExecutions is how many executions are kept between episodes at most, by
	// default 10,000; a negative number keeps none.
	KeptExecutions int
	// KeptBytes limits what kept executions take, by their payloads and by what they
	// wait for, each counted with an eighth of the limit at most; 32 MiB by default.
	KeptBytes int64
	// QueryLimit is how long the code may take to answer a query; 10 s is the default.
	QueryLimit time.Duration
	// Logger gets reports of stuck episodes; slog.Default if nil.
	Logger *slog.Logger
}

func (o *Options) fill() {
	if o.TurnLimit <= 0 {
		o.TurnLimit = 10 * time.Second
	}
	if o.KeptExecutions == 0 {
		o.KeptExecutions = 10_000
	}
	if o.KeptBytes <= 0 {
		o.KeptBytes = 32 << 20
	}
	if o.QueryLimit <= 0 {
		o.QueryLimit = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Orchestrators runs the orchestrators of a registry in this process. It
// implements [leader.Executor].
type Orchestrators struct {
	registry   *reprise.Registry
	options    Options
	activities *Activities // that run inside episodes
	watch      *watch

	mu        sync.Mutex // guards the fields below
	kept      *cache
	busy      map[execution]*turn // episodes that run
	unloading map[*turn]struct{}  // executions that unwind
	labels    uint64              // the last label given to an execution's goroutines
	closed    bool
}

var _ leader.Executor = (*Orchestrators)(nil)

// execution names an execution whatever the reign: it never runs twice at a time.
type execution struct {
	hub       history.TaskHub
	instance  history.InstanceID
	execution history.ExecutionID
}

func executionOf(key leader.ExecutionKey) execution {
	return execution{key.Hub, key.Instance, key.Execution}
}

// NewOrchestrators returns an executor for the registry's orchestrators.
func NewOrchestrators(registry *reprise.Registry, options Options) *Orchestrators {
	options.fill()
	return &Orchestrators{
		registry:   registry,
		options:    options,
		activities: NewActivities(registry, options),
		watch:      newWatch(options),
		kept:       newCache(options.KeptExecutions, options.KeptBytes),
		busy:       make(map[execution]*turn),
		unloading:  make(map[*turn]struct{}),
	}
}

// Episode implements [leader.Executor]. It returns when the user's code has given
// the word back, however long that takes: code cannot be stopped. Code that takes
// longer than [Options.TurnLimit] is reported. Where ctx is done by then, nobody
// takes the outcome and the execution is not kept.
func (e *Orchestrators) Episode(ctx context.Context, req leader.EpisodeRequest) (history.Episode, error) {
	program, err := e.registry.OrchestratorOf(req.Name, req.Version)
	if err != nil {
		return history.Episode{}, fmt.Errorf("%w: %w", leader.ErrUnbound, err)
	}
	t, kept, err := e.begin(ctx, req)
	if err != nil {
		return history.Episode{}, err
	}
	if kept != nil {
		kept.code.SetLocals(e.locals(ctx, req))
		episode, err := run(kept, req)
		e.end(ctx, t, kept, err)
		return episode, err
	}
	var past []history.Event
	if req.Episodes > 0 {
		if past, err = req.History(ctx); err != nil {
			e.end(ctx, t, nil, err)
			return history.Episode{}, fmt.Errorf("read the history of instance %q: %w", req.Key.Instance, err)
		}
	}
	kept = e.load(t, program)
	kept.code.SetLocals(e.locals(ctx, req))
	var episode history.Episode
	labelled(t.label, func() { episode, err = replay(kept, past, req) })
	e.end(ctx, t, kept, err)
	return episode, err
}

// replay brings a new execution to where past ends and runs an episode.
func replay(kept *keptExecution, past []history.Event, req leader.EpisodeRequest) (history.Episode, error) {
	if len(past) > 0 {
		if err := kept.code.Replay(past); err != nil {
			return history.Episode{}, err
		}
		kept.bytes += int64(history.PayloadBytes(past))
	}
	return run(kept, req)
}

// run runs an episode.
func run(kept *keptExecution, req leader.EpisodeRequest) (history.Episode, error) {
	episode, err := kept.code.Run(req.Arrived)
	if err != nil {
		return history.Episode{}, err
	}
	if episode.Empty(req.Arrived) {
		return episode, nil // nothing of it is recorded
	}
	kept.episodes = req.Episodes + 1
	kept.bytes += int64(history.PayloadBytes(req.Arrived)) + int64(history.PayloadBytes(episode.Decided))
	return episode, nil
}

// load makes a new execution.
func (e *Orchestrators) load(t *turn, program engine.Program) *keptExecution {
	grown := func(h *engine.Handle) (history.Payload, *history.Failure) {
		growStack()
		return program(h)
	}
	code := engine.New(grown, engine.Identity{Hub: t.key.Hub, Instance: t.key.Instance})
	code.OnStray(func(text, stack string) {
		e.options.Logger.Error("an orchestration was used where it must not be: "+strings.TrimPrefix(text, "reprise: "),
			"taskhub", t.key.Hub, "instance", t.key.Instance, "name", t.name, "stack", stack)
	})
	return &keptExecution{key: t.key, name: t.name, label: t.label, code: code}
}

// begin waits until the execution is not busy, marks it busy, and takes the kept
// execution out of the cache, if there is one of the right age.
func (e *Orchestrators) begin(ctx context.Context, req leader.EpisodeRequest) (*turn, *keptExecution, error) {
	id := executionOf(req.Key)
	e.mu.Lock()
	defer e.mu.Unlock()
	awaitTurn(ctx, &e.mu, e.busy, id)
	if e.closed {
		return nil, nil, errClosed
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	kept := e.kept.take(req.Key)
	if kept != nil && kept.episodes != req.Episodes {
		e.unloadLocked(kept)
		kept = nil
	}
	t := &turn{key: req.Key, name: req.Name, since: time.Now()}
	if kept != nil {
		t.label = kept.label
	} else {
		e.labels++
		t.label = strconv.FormatUint(e.labels, 10)
	}
	e.busy[id] = t
	e.watch.begin(t)
	return t, kept, nil
}

// end marks the execution as not busy and keeps it, if it can run on and somebody
// takes the outcome of its episode: otherwise it is ahead of what is recorded.
func (e *Orchestrators) end(ctx context.Context, t *turn, kept *keptExecution, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, executionOf(t.key))
	e.watch.end(t)
	t.end()
	if kept != nil {
		e.keepLocked(t, kept, err == nil && !kept.code.Ended() && ctx.Err() == nil)
	}
}

// keepLocked keeps an execution after a turn of it, if it is of use. Call with mu held.
func (e *Orchestrators) keepLocked(t *turn, kept *keptExecution, useful bool) {
	if !useful || t.abandoned || e.closed {
		e.unloadLocked(kept)
		return
	}
	for _, out := range e.kept.put(kept) {
		e.unloadLocked(out)
	}
}

// Forget implements [leader.Executor].
func (e *Orchestrators) Forget(key leader.ExecutionKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if t := e.busy[executionOf(key)]; t != nil && t.key == key {
		t.abandoned = true
	}
	if kept := e.kept.take(key); kept != nil {
		e.unloadLocked(kept)
	}
}

// ForgetReign implements [leader.Executor].
func (e *Orchestrators) ForgetReign(partition uint32, epoch uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.busy {
		if t.key.Partition == partition && t.key.Epoch == epoch {
			t.abandoned = true
		}
	}
	for _, kept := range e.kept.takeReign(partition, epoch) {
		e.unloadLocked(kept)
	}
}

// Kept returns how many executions are kept, and the bytes of their histories.
func (e *Orchestrators) Kept() (executions int, bytes int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.kept.byKey), e.kept.bytes
}

// Stuck lists code that does not yield, the longest first. It is for people: it
// looks at every goroutine of the process.
func (e *Orchestrators) Stuck() []Stuck { return e.watch.stuck() }

// CountStuck returns how much code does not yield. It is cheap.
func (e *Orchestrators) CountStuck() int { return len(e.watch.late()) }

// Close unloads everything that is kept and waits until no user code runs any
// more, or ctx is done. Episodes that are asked for from then on are refused.
func (e *Orchestrators) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	for _, kept := range e.kept.takeAll() {
		e.unloadLocked(kept)
	}
	var running []ending
	for _, t := range e.busy {
		t.abandoned = true
		running = append(running, t.ending())
	}
	for t := range e.unloading {
		running = append(running, t.ending())
	}
	e.watch.close()
	e.mu.Unlock()
	return waitForAll(ctx, running)
}

// unloadLocked ends an execution; the deferred functions of code that has not
// ended run beside, inert. Call with mu held.
func (e *Orchestrators) unloadLocked(kept *keptExecution) {
	if kept.code.Returned() {
		return
	}
	t := &turn{key: kept.key, name: kept.name, since: time.Now(), label: kept.label, unloading: true}
	e.unloading[t] = struct{}{}
	e.watch.begin(t)
	go func() {
		// Close may end this goroutine.
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.unloading, t)
			e.watch.end(t)
			t.end()
		}()
		kept.code.Close()
	}()
}
