package engine

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// Look answers from the state of the code without changing it: a query, or the
// check of an update. It returns a result or, where it refuses, a failure. It may
// read what the code has computed; it may not decide, wait, or draw IDs and random
// numbers, which panics.
type Look func(input history.Payload) (history.Payload, *history.Failure)

// Errors of [Execution.Query].
var (
	// ErrNoHandler says that the code handles nothing of that name; the wrapping error
	// lists what it does handle.
	ErrNoHandler = errors.New("the orchestration does not handle")
	// ErrNotBegun says that the code has not run yet.
	ErrNotBegun = errors.New("the orchestration has not begun")
)

// HandleQuery lets the code answer queries of a name, from now on. A second handler of
// a name replaces the first.
func (h *Handle) HandleQuery(name string, answer Look) {
	if h.enter("handle a query"); h.x.unwinding {
		return
	}
	if h.x.queries == nil {
		h.x.queries = make(map[string]Look)
	}
	h.x.queries[name] = answer
}

// NotLooking panics where the code runs only to look: in the handler of a query, or the
// check of an update.
func (h *Handle) NotLooking(what string) {
	if h.x.looking {
		panic("reprise: a query, or the check of an update, may only look; it tried to " + what)
	}
}

// Query answers from the state in which the code is, also after its end. The failure
// is the handler's; where it panicked, or tried to do more than look, it is of type
// [history.FailurePanic], and the caller should not go on with this execution: the
// handler may have left something half done. Like [Execution.Run], Query blocks
// where the handler does, and a handler that calls runtime.Goexit ends the calling
// goroutine. Errors: [ErrNoHandler], [ErrNotBegun], that of [Execution.Replay].
func (x *Execution) Query(name string, input history.Payload) (history.Payload, *history.Failure, error) {
	switch {
	case x.err != nil:
		return nil, nil, x.err
	case x.started == nil && x.why != "":
		return nil, nil, fmt.Errorf("%w: %s", ErrNotBegun, x.why)
	case x.started == nil:
		return nil, nil, ErrNotBegun
	}
	answer := x.queries[name]
	if answer == nil {
		return nil, nil, noHandler("query", name, slices.Sorted(maps.Keys(x.queries)))
	}
	result, failure := x.look(answer, input)
	return result, failure, nil
}

func noHandler(what, name string, known []string) error {
	if len(known) == 0 {
		return fmt.Errorf("%w %s %q; it handles none", ErrNoHandler, what, name)
	}
	return fmt.Errorf("%w %s %q; it handles %s", ErrNoHandler, what, name, strings.Join(known, ", "))
}

// look lets the code look. The coroutine stands still meanwhile.
func (x *Execution) look(look Look, input history.Payload) (result history.Payload, failure *history.Failure) {
	x.looking = true
	defer func() {
		x.looking = false
		if v := recover(); v != nil {
			result, failure = nil, panicFailure(v)
			failure.NonRetriable = true
		}
	}()
	return look(input)
}
