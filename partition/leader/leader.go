package leader

import (
	"context"
	"errors"
)

// ErrStale says that a result is of an attempt that is not wanted any more.
var ErrStale = errors.New("attempt is stale")

// Leader is what a node does for a partition during one reign. Its methods may
// be called from any goroutine, before, while and after Run runs; outside of Run
// they fail with [ErrNotLeading].
type Leader struct{}

// New returns a leader for one reign. It does nothing until [Leader.Run].
func New(cfg Config) *Leader { panic("not written") }

// Run is the loop. It builds the leader's memory from the state, works until ctx
// is done or the log ends, and drops the memory. It returns the cause. It is
// called once.
func (l *Leader) Run(ctx context.Context) error { panic("not written") }

// Start starts an orchestration; it returns when the start is committed.
func (l *Leader) Start(ctx context.Context, req StartRequest) (StartAnswer, error) {
	panic("not written")
}

// Terminate ends an instance without running its code; it returns when the end
// is committed.
func (l *Leader) Terminate(ctx context.Context, req TerminateRequest) error { panic("not written") }

// Status reads an instance. It is linearizable.
func (l *Leader) Status(ctx context.Context, req StatusRequest) (Instance, error) {
	panic("not written")
}

// Wait returns when the instance is as the request wants it. It is told by the
// entry that makes it so; nothing polls.
func (l *Leader) Wait(ctx context.Context, req WaitRequest) (Instance, error) { panic("not written") }

// History reads a page of an execution's history. It is linearizable.
func (l *Leader) History(ctx context.Context, req HistoryRequest) (HistoryPage, error) {
	panic("not written")
}

// Complete hands over how an attempt ended. It does not block. recorded is
// called once, from any goroutine and possibly before Complete returns: with nil
// once the result is committed, with [ErrStale] once it is certain that the
// attempt is not wanted; in both cases the node may forget the result. With any
// other error ([ErrNotLeading], [ErrOverloaded]) it keeps it and sends it again
// later, to whoever leads then. A node that has seen a higher epoch ignores
// what a leader of a lower one says.
func (l *Leader) Complete(r ActivityResult, recorded func(error)) { panic("not written") }

// AttemptsLost says that the nodes which ran these attempts are dead. They are
// dispatched again with a higher fence; that is not a failed attempt.
func (l *Leader) AttemptsLost(ids []AttemptID) { panic("not written") }

// BindingsChanged says that other names are bound than before: what waited for a
// name or for fitting code is tried again. It does not block.
func (l *Leader) BindingsChanged() { panic("not written") }

// CapacityFreed says that a node may have room for activities again. It does not
// block.
func (l *Leader) CapacityFreed() { panic("not written") }

// Stats are counters and sizes of a leader, for people and metrics.
type Stats struct {
	Turns        uint64 // episodes recorded
	Entries      uint64 // proposed
	EntryBytes   uint64 // proposed
	InFlight     int    // entries proposed and not applied
	Instances    int    // in memory
	Runnable     int    // waiting for a turn
	Episodes     int    // running
	Attempts     int    // dispatched or adopted, without result
	QueuedTasks  int    // attempts that wait for room
	Timers       int    // in memory
	Waiters      int
	Spilled      uint64 // mail stored in inboxes
	StaleResults uint64 // results refused as stale
	LateEpisodes uint64 // episodes that came back to an instance that had ended
	Parked       uint64 // times that an instance was parked
}

// Stats returns the present counters.
func (l *Leader) Stats() Stats { panic("not written") }
