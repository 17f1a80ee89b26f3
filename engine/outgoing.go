package engine

import "github.com/reprise-run/reprise/history"

// OnDecision lets fn see every decision of the code from now on, before it is made.
// What fn changes in the body is what is recorded, so it must do the same on every
// replay; it must not change what the body decides (see sameDecision), nor decide
// anything itself.
func (h *Handle) OnDecision(fn func(history.Body)) {
	h.x.onDecision = append(h.x.onDecision, fn)
}

// outgoing completes a decision that the code makes.
func (x *Execution) outgoing(body history.Body) {
	if x.showing {
		panic("reprise: an interceptor decided something while it was shown a decision; let it decide before or after it calls next")
	}
	own := history.TraceOf(body)
	if own != nil && own.Parent == "" {
		*own = x.trace(body)
	}
	if len(x.onDecision) == 0 {
		return
	}
	x.showing = true
	defer func() { x.showing = false }()
	for _, fn := range x.onDecision {
		fn(body)
	}
	if own != nil {
		*own = own.Clean()
	}
}

// trace returns the trace of what the execution starts or sends: an activity is a span of
// its own, all else is a part of that of the execution.
func (x *Execution) trace(body history.Body) history.Trace {
	if _, ok := body.(*history.TaskScheduled); ok {
		return x.started.Trace.Task(x.started.ExecutionID, x.nextID)
	}
	return x.started.Trace.Execution(x.started.ExecutionID)
}
