package reprise

import (
	"fmt"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Update is the contract of an update: something that callers ask a running
// orchestration to do, and to which it replies.
type Update[In, Out any] struct{ name string }

// NewUpdate returns a descriptor.
func NewUpdate[In, Out any](name string) Update[In, Out] { return Update[In, Out]{name} }

// Name returns the name.
func (u Update[In, Out]) Name() string { return u.name }

func (u Update[In, Out]) what() string {
	if u.name == "" {
		panic(misuse("an update is used whose descriptor has no name"))
	}
	return fmt.Sprintf("update %q", u.name)
}

// Check sets a function that accepts or refuses each update, in the state in which the
// orchestration is. An error refuses it: the caller gets that error, and nothing is
// recorded. Like the handler of a [Query] it only looks. Before [Update.Check],
// [Update.Handle] or [Update.Receive] was called, updates of the name are refused: call
// one of them before the orchestrator waits for the first time.
func (u Update[In, Out]) Check(o *Orchestration, check func(In) error) {
	o.h.CheckUpdates(u.name, look(o.codec, u.what(), func(in In) (None, error) { return None{}, check(in) }))
}

// Handle lets fn handle each update and reply with what it returns. It runs on the
// orchestrator's goroutine while that waits, so it may change the orchestrator's
// variables, start activities, timers and other orchestrations, and call a local activity
// ([Local]); but it may not wait:
// what has to wait for something before it replies is received by [Update.Receive]. A
// panic is the failure of the update and leaves the orchestration running.
//
//	price := in.Price
//	SetPrice.Handle(o, func(p int) (int, error) { before := price; price = p; return before, nil })
//	err := o.WaitUntil(func() bool { return price > 100 })
func (u Update[In, Out]) Handle(o *Orchestration, fn func(In) (Out, error)) {
	handle := look(o.codec, u.what(), fn)
	o.h.HandleUpdates(u.name, func(asked *engine.Update) {
		result, failure := handle(asked.Input)
		o.h.Reply(asked, result, failure)
	})
}

// Receive returns a future of the next update. Updates that come before anybody waits
// are kept; they are given out in order. The orchestrator replies when it wants to, with
// [Asked.Reply]; what it has not replied to when it ends fails.
func (u Update[In, Out]) Receive(o *Orchestration) Future[Asked[In, Out]] {
	f := o.promise(u.what())
	if f.done { // the orchestration, or the scope, is cancelled
		return Future[Asked[In, Out]]{f}
	}
	p := o.h.ReceiveUpdate(u.name, func(p *engine.Promise) {
		f.value = p.Update()
		f.settle(p.Result, nil)
	})
	f.cancel = func(reason string) { o.h.Cancel(p, reason) }
	return Future[Asked[In, Out]]{f}
}

// Asked is an update that an orchestrator has received.
type Asked[In, Out any] struct {
	// In is the input.
	In In

	o      *Orchestration
	what   string
	update *engine.Update
}

// Reply answers the caller, with out or, where it is not nil, with err. Only the first
// reply counts.
func (a Asked[In, Out]) Reply(out Out, err error) {
	var output history.Payload
	if err == nil {
		output, err = EncodePayload(a.o.codec, "reply to "+a.what, out)
	}
	if err != nil {
		output = nil
	}
	a.o.h.Reply(a.update, output, FailureOf(a.o.codec, err))
}

// fromUpdate implements received.
func (Asked[In, Out]) fromUpdate(f *future) (any, error) {
	in, err := DecodePayload[In](f.o.codec, "input of "+f.what, f.result)
	a := Asked[In, Out]{In: in, o: f.o, what: f.what, update: f.value}
	if err != nil {
		a.Reply(*new(Out), err)
	}
	return a, err
}

// received is a value that is made of an update and not of a payload.
type received interface {
	fromUpdate(f *future) (any, error)
}

// WaitUntil waits until ready returns true. It is asked after each event that arrives
// and each update that is handled, and must depend on the orchestrator's own variables
// only. The error is nil, or the *[CanceledError] of the scope of o, which ends the wait.
func (o *Orchestration) WaitUntil(ready func() bool) error {
	done := false
	o.wait(func() bool {
		done = ready()
		return done || o.scope.err != nil
	})
	if !done {
		return o.scope.err
	}
	return nil
}
