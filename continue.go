package reprise

import (
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// ContinueAsNew returns an error that, returned by the orchestrator, lets the
// instance go on with a new execution of the same orchestration: the function begins
// anew with the input, and the history before it is dropped. The ID, the parent and the
// tags stay. Events that no wait has taken are kept, in their order; activities, timers
// and sub-orchestrations that are still open are not waited for any more. In a
// cancelled scope it returns the *[CanceledError] instead. The version of the instance
// stays, too, unless [NextVersion] chooses another one.
//
//	func poll(o *reprise.Orchestration, s State) (reprise.None, error) {
//		// … one round …
//		return reprise.None{}, Poll.ContinueAsNew(o, s)
//	}
func (d Orchestrator[In, Out]) ContinueAsNew(o *Orchestration, in In, opts ...ContinueOption) error {
	if running := o.h.Started().Name; d.name != running {
		return fmt.Errorf("orchestration %q continues as itself, not as %q", running, d.name)
	}
	if err := o.Canceled(); err != nil {
		return err
	}
	input, err := EncodePayload(o.codec, fmt.Sprintf("input of orchestration %q", d.name), in)
	if err != nil {
		return err
	}
	next := &continuation{input: input, shielded: o.shielded()}
	for _, opt := range opts {
		opt(next)
	}
	if err := checkVersion(next.version); err != nil {
		return fmt.Errorf("continue orchestration %q as new: %w", d.name, err)
	}
	return next
}

// ContinueOption sets something of an execution that another one continues as:
// [NextVersion].
type ContinueOption func(*continuation)

// NextVersion gives the instance another version from the next execution on: that is the
// moment at which a long-lived one takes up code that would not fit its history. If
// nobody binds the version, the instance waits, visibly, until somebody does; its events
// wait with it. An empty version changes nothing.
func NextVersion(version string) ContinueOption {
	return func(c *continuation) { c.version = version }
}

// HistoryLength returns how many events the history had when the present episode began.
// It is the same on replay.
func (o *Orchestration) HistoryLength() int { return o.h.HistoryLength() }

// ShouldContinueAsNew reports whether the history is so long that the orchestrator
// should continue as new at its next good occasion: when the present episode began it
// had 10,000 events, or payloads of 8 MiB together. It is the same on replay. Nothing
// happens to an orchestration that does not heed it, except that it takes longer to
// load wherever it is not kept in memory.
func (o *Orchestration) ShouldContinueAsNew() bool { return o.h.IsHistoryLong() }

// continuation is what an orchestrator returns that continues as new.
type continuation struct {
	input   history.Payload
	version string // empty: it stays the same
	// shielded is set where a cancellation does not end it.
	shielded bool
}

// overtaken reports whether the orchestration was cancelled after it had decided to go on.
func (c *continuation) overtaken(root *scope) bool { return root.err != nil && !c.shielded }

// Error implements error; who sees it has not returned it.
func (*continuation) Error() string { return "the orchestration continues as new" }
