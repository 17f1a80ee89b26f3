package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Defaults of [Options].
const (
	DefaultTurnLimit      = 10 * time.Second
	DefaultKeptExecutions = 10_000
	DefaultKeptBytes      = 64 << 20
)

// Options bound what [Orchestrators] does, and name the node. Zero values take
// the defaults.
type Options struct {
	// Node is the name of this node, for people.
	Node string
	// TurnLimit is how long an episode may take before it is given up and
	// reported.
	TurnLimit time.Duration
	// KeptExecutions is how many executions are kept between episodes at most; a
	// negative number keeps none.
	KeptExecutions int
	// KeptBytes limits the bytes of the histories of kept executions.
	KeptBytes int64
	// Logger gets reports of stuck episodes; slog.Default if nil.
	Logger *slog.Logger
}

func (o *Options) fill() {
	if o.TurnLimit <= 0 {
		o.TurnLimit = DefaultTurnLimit
	}
	if o.KeptExecutions == 0 {
		o.KeptExecutions = DefaultKeptExecutions
	}
	if o.KeptBytes <= 0 {
		o.KeptBytes = DefaultKeptBytes
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

// Orchestrators runs the orchestrators of a registry in this process. It
// implements [leader.Executor].
type Orchestrators struct {
	registry *reprise.Registry
	options  Options

	mu        sync.Mutex // guards the fields below
	kept      *cache
	busy      map[execution]*turn // episodes that run
	unloading map[*turn]struct{}  // executions that unwind
	labels    uint64              // the last label given to an execution's goroutines
	closed    bool
}

var errClosed = errors.New("the node is stopping")

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

// turn is user code that has the word: an episode, or the deferred functions that
// run while an execution is unloaded.
type turn struct {
	key       leader.ExecutionKey
	name      string
	since     time.Time
	label     string // of its goroutines
	unloading bool
	done      chan struct{} // closed when the code has given the word back

	// Guarded by Orchestrators.mu: a person was told, nobody waits any more.
	reported, abandoned bool
}

// StuckError says that an episode does not yield: the user's code loops, or
// blocks on something that is not durable. It is passing: the leader asks again,
// and gets it again until the code gives the word back.
type StuckError struct {
	Instance history.InstanceID
	Since    time.Time
}

// Error implements error.
func (e *StuckError) Error() string {
	return fmt.Sprintf("orchestrator of instance %q has not yielded since %s", e.Instance, e.Since.UTC().Format(time.RFC3339))
}

// NewOrchestrators returns an executor for the registry's orchestrators.
func NewOrchestrators(registry *reprise.Registry, options Options) *Orchestrators {
	options.fill()
	return &Orchestrators{
		registry:  registry,
		options:   options,
		kept:      newCache(options.KeptExecutions, options.KeptBytes),
		busy:      make(map[execution]*turn),
		unloading: make(map[*turn]struct{}),
	}
}

// Episode implements [leader.Executor]. An episode that takes longer than
// [Options.TurnLimit] gives a *[StuckError].
func (e *Orchestrators) Episode(ctx context.Context, req leader.EpisodeRequest) (history.Episode, error) {
	program, ok := e.registry.Orchestrator(req.Name)
	if !ok {
		return history.Episode{}, leader.ErrUnbound
	}
	limit := time.NewTimer(e.options.TurnLimit)
	defer limit.Stop()
	t, kept, err := e.begin(ctx, limit.C, req)
	if err != nil {
		return history.Episode{}, err
	}
	var past []history.Event
	if kept == nil && req.Episodes > 0 {
		if past, err = req.History(ctx); err != nil {
			e.end(t, nil)
			return history.Episode{}, fmt.Errorf("read the history of instance %q: %w", req.Key.Instance, err)
		}
	}
	outcomes := make(chan outcome, 1)
	go func() {
		if kept == nil {
			kept = e.load(t, program)
		}
		o := runEpisode(kept, past, req)
		if o.err != nil || kept.code.Ended() {
			e.end(t, nil)
			e.unload(kept)
		} else {
			e.end(t, kept)
		}
		outcomes <- o
	}()
	select {
	case o := <-outcomes:
		return o.episode, o.err
	case <-ctx.Done():
		e.abandon(t)
		return history.Episode{}, ctx.Err()
	case <-limit.C:
		e.abandon(t)
		e.report(t)
		return history.Episode{}, &StuckError{req.Key.Instance, t.since}
	}
}

// outcome is what an episode came to.
type outcome struct {
	episode history.Episode
	err     error
}

// runEpisode brings the execution to where past ends, if it is new, and runs the
// episode.
func runEpisode(kept *keptExecution, past []history.Event, req leader.EpisodeRequest) (o outcome) {
	if past != nil {
		if o.err = kept.code.Replay(past); o.err != nil {
			return o
		}
		kept.bytes += sizeOf(past)
	}
	if o.episode, o.err = kept.code.Run(req.Arrived); o.err != nil {
		return o
	}
	kept.episodes = req.Episodes + 1
	kept.bytes += sizeOf(req.Arrived) + sizeOf(o.episode.Decided)
	return o
}

// load makes a new execution. It runs on the goroutine of the turn, whose label
// the user's goroutine inherits.
func (e *Orchestrators) load(t *turn, program engine.Program) *keptExecution {
	labelGoroutine(t.label)
	return &keptExecution{
		key: t.key, name: t.name, label: t.label,
		code: engine.New(program, engine.Identity{Hub: t.key.Hub, Instance: t.key.Instance}),
	}
}

// begin waits until the execution is not busy, marks it busy, and takes the kept
// execution out of the cache, if there is one of the right age.
func (e *Orchestrators) begin(ctx context.Context, limit <-chan time.Time, req leader.EpisodeRequest) (*turn, *keptExecution, error) {
	id := executionOf(req.Key)
	e.mu.Lock()
	defer e.mu.Unlock()
	for e.busy[id] != nil {
		before := e.busy[id]
		if before.reported {
			return nil, nil, &StuckError{req.Key.Instance, before.since}
		}
		e.mu.Unlock()
		err := awaitTurn(ctx, limit, before)
		if _, stuck := err.(*StuckError); stuck {
			e.report(before)
		}
		e.mu.Lock()
		if err != nil {
			return nil, nil, err
		}
	}
	if e.closed {
		return nil, nil, errClosed
	}
	kept := e.kept.take(req.Key)
	if kept != nil && kept.episodes != req.Episodes {
		e.unloadLocked(kept)
		kept = nil
	}
	t := &turn{key: req.Key, name: req.Name, since: time.Now(), done: make(chan struct{})}
	if kept != nil {
		t.label = kept.label
	} else {
		e.labels++
		t.label = strconv.FormatUint(e.labels, 10)
	}
	e.busy[id] = t
	return t, kept, nil
}

func awaitTurn(ctx context.Context, limit <-chan time.Time, t *turn) error {
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-limit:
		return &StuckError{t.key.Instance, t.since}
	}
}

// end marks the execution as not busy and keeps it, unless it is nil or nobody
// took the outcome of its last episode.
func (e *Orchestrators) end(t *turn, kept *keptExecution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.busy, executionOf(t.key))
	close(t.done)
	switch {
	case kept == nil:
	case t.abandoned || e.closed:
		e.unloadLocked(kept)
	default:
		for _, out := range e.kept.put(kept) {
			e.unloadLocked(out)
		}
	}
}

// abandon says that nobody waits for the turn's outcome: the execution then is
// ahead of what was recorded and must not be kept.
func (e *Orchestrators) abandon(t *turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t.abandoned = true
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

// Close unloads everything that is kept and waits until no user code runs any
// more, or ctx is done. Episodes that are asked for from then on are refused.
func (e *Orchestrators) Close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	for _, kept := range e.kept.takeAll() {
		e.unloadLocked(kept)
	}
	var running []*turn
	for _, t := range e.busy {
		t.abandoned = true
		running = append(running, t)
	}
	for t := range e.unloading {
		running = append(running, t)
	}
	e.mu.Unlock()
	for _, t := range running {
		select {
		case <-t.done:
		case <-ctx.Done():
			return fmt.Errorf("close the executor: instance %q: %w", t.key.Instance, ctx.Err())
		}
	}
	return nil
}

// unload ends an execution beside: its deferred functions run, inert.
func (e *Orchestrators) unload(kept *keptExecution) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.unloadLocked(kept)
}

func (e *Orchestrators) unloadLocked(kept *keptExecution) {
	t := &turn{key: kept.key, name: kept.name, since: time.Now(), label: kept.label, unloading: true, done: make(chan struct{})}
	e.unloading[t] = struct{}{}
	go func() {
		// Close may end this goroutine.
		defer func() {
			e.mu.Lock()
			defer e.mu.Unlock()
			delete(e.unloading, t)
			close(t.done)
		}()
		kept.code.Close()
	}()
}
