package reprise

import (
	"fmt"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Query is the contract of a query: a question that callers ask a running
// orchestration, and that it answers from its present state without changing it.
type Query[In, Out any] struct{ name string }

// NewQuery returns a descriptor.
func NewQuery[In, Out any](name string) Query[In, Out] { return Query[In, Out]{name} }

// Name returns the name.
func (q Query[In, Out]) Name() string { return q.name }

// Handle lets the orchestration answer the query, from now on and after its end; a
// second handler replaces the first. The handler runs while the orchestrator waits,
// at its last committed step. It reads the orchestrator's variables and leaves them
// as they are: what it changed would be lost, or not, with the next crash. To
// start something, to wait, to draw IDs or random numbers panics, and a panic goes
// to the caller as a *[PanicError] and harms nobody else. It must not block.
//
//	done := 0
//	Progress.Handle(o, func(reprise.None) (int, error) { return done, nil })
func (q Query[In, Out]) Handle(o *Orchestration, fn func(In) (Out, error)) {
	if q.name == "" || fn == nil {
		panic(misuse("a query is handled whose descriptor has no name, or whose handler is nil"))
	}
	what := fmt.Sprintf("query %q", q.name)
	o.h.HandleQuery(q.name, look(o.codec, what, fn))
}

// look is a handler that takes and returns payloads.
func look[In, Out any](c Codec, what string, fn func(In) (Out, error)) engine.Look {
	answer := overPayloads(c, what, func(_ struct{}, in In) (Out, error) { return fn(in) })
	return func(input history.Payload) (history.Payload, *history.Failure) {
		output, err := answer(struct{}{}, input)
		return output, FailureOf(c, err)
	}
}
