package reprise

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Operation is the contract of an operation of an entity: its name and its types. An
// orchestration calls it ([Operation.Call]) or signals it; entities and clients signal
// it. The function that is bound to it gets the state to read and to change:
//
//	func withdraw(e *reprise.EntityContext, a *Acct, m Money) (Balance, error)
//
// An operation that returns an error, or panics, has not happened: the state is as it
// was before it, and nothing that it sent leaves.
type Operation[State, In, Out any] struct {
	entity  Entity[State]
	name    string
	options operationOptions
}

// NewOperation returns a descriptor of an operation of the entity. Options given here
// hold wherever the operation is called without others. Names compare without regard to
// case.
//
// Every entity has an operation "delete" that takes nothing, returns nothing and deletes
// the entity, unless a function is bound to that name; it is called by a descriptor like
// any other.
func NewOperation[In, Out, State any](e Entity[State], name string, opts ...OperationOption) Operation[State, In, Out] {
	p := Operation[State, In, Out]{entity: e, name: name}
	p.options.apply(opts)
	return p
}

// Name returns the name of the operation.
func (p Operation[State, In, Out]) Name() string { return p.name }

// Start asks an entity for the operation and returns the future of its outcome. It runs
// exactly once. A failure of it is an error with its identity. To cancel the future says
// that the outcome is not wanted; the operation runs all the same.
func (p Operation[State, In, Out]) Start(o *Orchestration, e EntityRef[State], in In, opts ...OperationOption) Future[Out] {
	return p.start(o, nil, e, in, opts)
}

// Call asks an entity for the operation and waits for its outcome; see
// [Operation.Start].
func (p Operation[State, In, Out]) Call(o *Orchestration, e EntityRef[State], in In, opts ...OperationOption) (Out, error) {
	return p.Start(o, e, in, opts...).Await(o)
}

// Signal asks an entity for the operation and does not wait: nobody is told its outcome.
// It runs exactly once. Signals of one sender to one entity run in the order in which
// they are sent. The error is of the entity's ID, of the input, or of what a critical
// section allows.
func (p Operation[State, In, Out]) Signal(from Sender, e EntityRef[State], in In, opts ...SignalOption) error {
	what := p.what(e)
	input, err := p.input(from.payloads(), what, e, in)
	if err != nil {
		return err
	}
	signal := &history.EntityOperationSignaled{Target: e.id, Operation: p.name, Input: input}
	for _, opt := range opts {
		opt(signal)
	}
	if err := from.signal(signal); err != nil {
		return fmt.Errorf("signal %s: %w", what, err)
	}
	return nil
}

// start asks for the operation, in a critical section where there is one.
func (p Operation[State, In, Out]) start(o *Orchestration, s *Section, e EntityRef[State], in In, opts []OperationOption) Future[Out] {
	options := p.options
	options.apply(opts)
	f := o.promise(p.what(e))
	if f.done {
		return Future[Out]{f}
	}
	input, err := p.input(o.codec, f.what, e, in)
	if err == nil {
		err = options.retries.err
	}
	if err == nil {
		err = o.section.calls(s, e.id)
	}
	if err != nil {
		f.settle(nil, fmt.Errorf("call %s: %w", f.what, err))
		return Future[Out]{f}
	}
	a := &attempts{o: o, future: f, next: s.whileOpen(options.retries.inCode(o))}
	a.begin = func(settled func(*engine.Promise)) *engine.Promise {
		if s != nil && s.left {
			f.settle(nil, fmt.Errorf("call %s again: the critical section was left before", f.what))
			return nil
		}
		return o.h.CallEntity(&history.EntityOperationCalled{Target: e.id, Operation: p.name, Input: input, Section: s.id()}, settled)
	}
	a.start()
	return Future[Out]{f}
}

// what names the operation of one entity in errors.
func (p Operation[State, In, Out]) what(e EntityRef[State]) string {
	return fmt.Sprintf("operation %q of %s", p.name, e.id)
}

// input checks that the operation can be asked of e, and returns the input.
func (p Operation[State, In, Out]) input(c Codec, what string, e EntityRef[State], in In) (history.Payload, error) {
	if err := history.ValidateOperationName(p.name); err != nil {
		return nil, fmt.Errorf("ask an entity for an operation: %w", err)
	}
	if err := history.ValidateEntityID(e.id); err != nil {
		return nil, err
	}
	if of, _ := e.id.Entity(); of != strings.ToLower(p.entity.name) {
		return nil, fmt.Errorf("the operation is one of entity %q", p.entity.name)
	}
	return EncodePayload(c, "input of "+what, in)
}

// bind implements Descriptor.
func (p Operation[State, In, Out]) bind(r *Registry, fn func(*EntityContext, *State, In) (Out, error)) error {
	what := fmt.Sprintf("operation %q of entity %q", p.name, p.entity.name)
	key := strings.ToLower(p.entity.name)
	code := r.entities[key]
	if code == nil {
		code = newEntityCode[State](r, key)
	}
	switch {
	case p.name == "":
		return fmt.Errorf("bind %s: the name is empty", what)
	case key == "" || strings.Contains(key, "@"):
		return fmt.Errorf("bind %s: the name of an entity is not empty and has no @", what)
	case fn == nil:
		return fmt.Errorf("bind %s: the function is nil", what)
	case code.operations[strings.ToLower(p.name)] != nil:
		return fmt.Errorf("bind %s: the name is bound already", what)
	case code.state != reflect.TypeFor[State]():
		return fmt.Errorf("bind %s: the state is a %v here, and a %v for what was bound before", what, reflect.TypeFor[State](), code.state)
	case p.options.retries.err != nil:
		return fmt.Errorf("bind %s: %w", what, p.options.retries.err)
	}
	if err := errors.Join(encodable[State](r), encodable[In](r), encodable[Out](r)); err != nil {
		return fmt.Errorf("bind %s: %w", what, err)
	}
	r.entities[key] = code
	code.operations[strings.ToLower(p.name)] = overPayloads(r.codec, what,
		func(e *EntityContext, in In) (Out, error) { return fn(e, e.value.(*State), in) })
	return nil
}

// OperationOption sets how an operation is called: [Retry], [RetryWith].
type OperationOption interface{ operation(*operationOptions) }

type operationOptions struct{ retries Retries }

func (s *operationOptions) apply(opts []OperationOption) {
	for _, opt := range opts {
		opt.operation(s)
	}
}

func (r Retries) operation(s *operationOptions) { s.retries = r }

// SignalOption sets something of a signal: [SignalAt].
type SignalOption func(*history.EntityOperationSignaled)

// SignalAt lets the entity take the signal at t, by the clock of its partition, and not
// before. Until then it waits with the entity, and others go first.
func SignalAt(t time.Time) SignalOption {
	return func(s *history.EntityOperationSignaled) { s.ScheduledTime = t }
}
