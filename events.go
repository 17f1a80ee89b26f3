package reprise

import (
	"fmt"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Event is the contract of an external event: its name and the type of its data.
// Names compare without regard to case.
type Event[T any] struct{ name string }

// NewEvent returns a descriptor.
func NewEvent[T any](name string) Event[T] { return Event[T]{name} }

// Name returns the name.
func (e Event[T]) Name() string { return e.name }

// Receive returns a future of the next event of the name. Events that come before
// anybody waits are kept; they are given out in the order in which they arrived, to
// waits in the order in which those were made. A wait that is cancelled gets none.
func (e Event[T]) Receive(o *Orchestration) Future[T] {
	f := o.promise(fmt.Sprintf("event %q", e.name))
	f.data = true
	if err := history.ValidateEventName(e.name); err != nil {
		f.settle(nil, fmt.Errorf("wait for an event: %w", err))
	}
	if f.done {
		return Future[T]{f}
	}
	p := o.h.Receive(e.name, func(p *engine.Promise) { f.settle(p.Result, nil) })
	f.cancel = func(reason string) { o.h.Cancel(p, reason) }
	return Future[T]{f}
}

// Await waits for the next event of the name; see [Event.Receive].
func (e Event[T]) Await(o *Orchestration) (T, error) { return e.Receive(o).Await(o) }

// Send raises the event for another instance, or for the sender's own. It is sent once
// the decision is committed, exactly once and in order; an instance that is not there,
// or has ended, drops it. The error is of the name, of the ID, of the data, or of a
// cancelled scope.
func (e Event[T]) Send(from Sender, to history.InstanceID, data T) error {
	what := fmt.Sprintf("event %q", e.name)
	if err := history.ValidateEventName(e.name); err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	if err := history.ValidateOrchestrationID(to); err != nil {
		return fmt.Errorf("send %s: %w", what, err)
	}
	input, err := EncodePayload(from.payloads(), "data of "+what, data)
	if err != nil {
		return err
	}
	return from.sendEvent(&history.EventSent{Instance: to, Name: e.name, Input: input})
}
