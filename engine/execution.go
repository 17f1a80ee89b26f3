package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Program is the code of an orchestrator. It returns the result or, where it
// failed, the failure. A panic becomes a failure of type [history.FailurePanic].
type Program func(h *Handle) (history.Payload, *history.Failure)

// Identity names the instance whose execution runs.
type Identity struct {
	Hub      history.TaskHub
	Instance history.InstanceID
}

// Errors of an [Execution].
var (
	// ErrEnded says that the execution ended (or was closed) and cannot run on.
	ErrEnded = errors.New("execution has ended")
	// ErrMalformed says that a history is none: its events are not episodes.
	ErrMalformed = errors.New("malformed history")
)

// Execution runs one execution of an orchestrator. It is not safe for
// concurrent use, but its methods may be called from different goroutines.
type Execution struct {
	program  Program
	identity Identity
	started  *history.ExecutionStarted

	// The coroutine. next runs the user's code until it waits or ends; stop
	// unwinds it. Both are nil until ExecutionStarted has arrived.
	next func() (struct{}, bool)
	stop func()
	// main is that coroutine, others are those that its code has made and that have
	// not ended, in their order; running is the one that has the word. panicked is how
	// one of the others ended, until main knows.
	main     coroutine
	others   []*coroutine
	running  *coroutine
	panicked *CoroutinePanic
	// strays holds the first use on a goroutine that is not the code's own, until the
	// code's own one takes it to stray; onStray hears of each.
	strays  chan *stray
	stray   *stray
	onStray func(text, stack string)
	// inside is true while the user's code has the word.
	inside    bool
	unwinding bool
	ended     bool

	// now is the orchestrator's clock.
	now time.Time
	// nextID is the ID of the next decision.
	nextID int32
	// pending holds what was decided and has no outcome yet, by ID.
	pending map[int32]*Promise
	// settled holds promises whose callbacks have not run yet.
	settled []*Promise
	// events are the external events and the waits for them.
	events mailbox
	// takenEvents are those with a trace that the code has got in the episode that runs.
	takenEvents []history.TakenEvent
	// locals runs local activities.
	locals Locals
	// request is the first request to end; canceled is how the code hears of it.
	request  *history.ExecutionCancelRequested
	canceled *Promise
	// endsCanceled is set once a failure of the code is the cancellation itself.
	endsCanceled bool
	// continues is how this execution ends where the code wants to go on as a new one.
	continues *history.ExecutionCompleted
	// onDecision are shown every decision before it is made; showing is set meanwhile.
	onDecision []func(history.Body)
	showing    bool
	// decided are the decisions of the episode that runs.
	decided []history.Event
	// status is the custom status; nil where none was set.
	status history.Payload
	// tags are those of the instance; nil where the code has not changed them.
	tags map[string]string
	// queries are the handlers of queries, by name; looking is set while one runs.
	queries map[string]Look
	looking bool
	// updates are what callers ask to be done; inHandler is set while a handler runs.
	updates   updates
	inHandler bool
	// patches is what the code was told of each patch that it asked for.
	patches map[string]bool

	// replaying is true while recorded holds the decisions of the episode that
	// runs. The first cursor of them were met. recordedAt is the index of
	// recorded[0] in the history, length the number of events seen so far, payload the
	// bytes of their payloads.
	replaying  bool
	recorded   []history.Event
	cursor     int
	recordedAt int
	length     int
	payload    int

	// err ended the execution: nondeterminism or a malformed history.
	err error
	// locate asks the waiting coroutine for its source line, which goes to site.
	locate bool
	site   string
	// taken counts the events of the episode that runs which were applied.
	taken int
	// work counts events applied, callbacks run and switches into user code.
	work int
}

// New returns an execution that has not begun.
func New(program Program, identity Identity) *Execution {
	return &Execution{program: program, identity: identity, pending: make(map[int32]*Promise), strays: make(chan *stray, 1)}
}

// Replay feeds recorded episodes, from the first one on; it may be called again
// with the episodes that follow. It returns a *[history.NondeterminismError] if
// the code decides anything else than was recorded, and an error that wraps
// [ErrMalformed] if past does not consist of episodes. After an error the
// execution can only be closed.
func (x *Execution) Replay(past []history.Event) error {
	x.replaying = true
	defer func() { x.replaying = false }()
	base := x.length
	for i := 0; i < len(past) && x.err == nil; {
		begin := i
		if _, ok := past[i].Body.(*history.ExecutionCompleted); ok && past[i].ID == history.NoID {
			x.ended = true // by the server, without the code
			i++
			continue
		}
		if !isOrchestratorStarted(past[i]) {
			return x.fail(fmt.Errorf("%w: event %d (%s) does not begin an episode", ErrMalformed, base+i, history.Describe(past[i])))
		}
		for i++; i < len(past) && past[i].ID == history.NoID && !isOrchestratorStarted(past[i]); i++ {
		}
		arrived := past[begin:i]
		begin = i
		for i < len(past) && past[i].ID != history.NoID {
			i++
		}
		x.recorded, x.cursor, x.recordedAt = past[begin:i], 0, base+begin
		x.turn(arrived)
		if x.err == nil && x.cursor < len(x.recorded) {
			x.oneLess()
		}
		x.length = base + i
		x.payload += history.PayloadBytes(arrived) + history.PayloadBytes(x.recorded)
	}
	x.recorded = nil
	return x.err
}

// Run feeds what arrived since the last episode, beginning with
// OrchestratorStarted, and returns what the code decided. The cost is that of
// the new events, whatever the length of the history.
//
// It returns when the user's code waits for something durable or has ended; code
// that blocks on anything else blocks Run, and the caller watches for that.
func (x *Execution) Run(arrived []history.Event) (history.Episode, error) {
	switch {
	case x.err != nil:
		return history.Episode{}, x.err
	case x.ended:
		return history.Episode{}, ErrEnded
	case len(arrived) == 0 || !isOrchestratorStarted(arrived[0]):
		return history.Episode{}, fmt.Errorf("%w: what arrived does not begin with OrchestratorStarted", ErrMalformed)
	}
	x.decided = nil
	x.turn(arrived)
	if x.err != nil {
		return history.Episode{}, x.err
	}
	episode := history.Episode{
		Decided: x.decided, CustomStatus: x.status, Tags: x.tags, Awaits: x.events.awaits(), Buffered: x.events.buffered + x.updates.mail.buffered,
		Updates: x.updates.names, Unrecorded: x.unrecorded(arrived), Taken: x.takenEvents,
	}
	if !episode.Empty(arrived) {
		x.length += len(arrived) + len(x.decided) - len(episode.Unrecorded)
		x.payload += history.PayloadBytes(arrived) + history.PayloadBytes(x.decided)
		for _, u := range episode.Unrecorded {
			x.payload -= history.PayloadBytes(arrived[u.Index+1 : u.Index+2])
		}
	}
	if end := episode.Completion(); end != nil && end.Status == history.ContinuedAsNew {
		episode.Carried, episode.Cancel = x.carriedEvents(arrived), x.unseenRequest(arrived)
		episode.CarriedUpdates = x.carriedUpdates()
	}
	return episode, nil
}

// Pending returns how many outcomes the code awaits, or could.
func (x *Execution) Pending() int { return len(x.pending) }

// Ended reports whether the execution completed.
func (x *Execution) Ended() bool { return x.ended }

// Returned reports whether there is no user code to unwind: it has returned, or
// was never called.
func (x *Execution) Returned() bool { return x.stop == nil }

// Close unloads the execution; it can be called again. The user's deferred
// functions run if the code has not ended, and Close waits for them.
//
// Unwinding spreads to the caller: where the user's code had not returned, Close
// does not return but ends the calling goroutine (runtime.Goexit) when the
// deferred functions have run. So call it as the last thing on a goroutine, and
// use a deferred function to learn that it is over.
func (x *Execution) Close() {
	x.ended = true
	if stop := x.stop; stop != nil {
		x.stop, x.next = nil, nil
		stop()
	}
}

func isOrchestratorStarted(e history.Event) bool {
	return e.Body != nil && e.Body.Kind() == history.KindOrchestratorStarted
}
