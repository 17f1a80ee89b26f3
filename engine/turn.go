package engine

import (
	"fmt"
	"iter"

	"github.com/reprise-run/reprise/history"
)

// turn applies the events of one episode, and runs the code after each.
func (x *Execution) turn(arrived []history.Event) {
	x.taken, x.takenEvents = 0, nil
	for _, e := range arrived {
		if x.err != nil || x.ended {
			return
		}
		x.taken++
		x.work++
		x.apply(e)
		if x.next != nil && len(x.settled) > 0 {
			x.resume()
		}
	}
}

// apply takes in one event that arrived. An outcome of something that is
// unknown, settled or cancelled is ignored: it came too late.
func (x *Execution) apply(e history.Event) {
	if e.ID != history.NoID {
		x.fail(fmt.Errorf("%w: a decision (%s) among the events that arrived", ErrMalformed, history.Describe(e)))
		return
	}
	switch b := e.Body.(type) {
	case history.OrchestratorStarted:
		x.now = e.Time
	case *history.ExecutionStarted:
		x.start(b)
	case *history.TaskCompleted:
		x.settle(b.TaskID, anActivity, b.Result, nil)
	case *history.TaskFailed:
		x.settle(b.TaskID, anActivity, nil, saying(b.Failure, "activity"))
	case *history.SubOrchestrationInstanceCompleted:
		x.settle(b.TaskID, aChild, b.Result, nil)
	case *history.SubOrchestrationInstanceFailed:
		x.settle(b.TaskID, aChild, nil, saying(b.Failure, "sub-orchestration"))
	case *history.EntityOperationCompleted:
		x.settle(b.TaskID, aCall, b.Result, nil)
	case *history.EntityOperationFailed:
		x.settle(b.TaskID, aCall, nil, saying(b.Failure, "operation"))
	case *history.EntityLockGranted:
		x.settle(b.TaskID, aLock, nil, nil)
	case *history.TimerFired:
		x.settle(b.TimerID, aTimer, nil, nil)
	case *history.EventRaised:
		x.raise(b, e.Time)
	case *history.ExecutionCancelRequested:
		x.cancelRequested(b)
	case *history.UpdateRequested:
		x.updateRequested(b)
	case *history.ExecutionTerminated:
		x.complete(&history.ExecutionCompleted{Status: history.Terminated, Result: b.Reason})
	default:
		x.fail(fmt.Errorf("%w: %s cannot arrive", ErrMalformed, history.Describe(e)))
	}
}

// saying returns the failure, or one that says that there was none.
func saying(f *history.Failure, what string) *history.Failure {
	if f == nil {
		return &history.Failure{Message: "the " + what + " failed without saying why"}
	}
	return f
}

// start begins the user's code. A second ExecutionStarted is ignored.
func (x *Execution) start(b *history.ExecutionStarted) {
	if x.started != nil {
		return
	}
	x.started = b
	x.next, x.stop = iter.Pull(iter.Seq[struct{}](x.coroutine))
	x.resume()
}

// settle gives a promise its outcome and hands it to the code.
func (x *Execution) settle(id int32, of awaited, result history.Payload, failure *history.Failure) {
	p := x.pending[id]
	if p == nil || p.of != of {
		return
	}
	delete(x.pending, id)
	p.Result, p.Failure = result, failure
	x.settled = append(x.settled, p)
}

// resume runs the user's code until it waits or ends.
func (x *Execution) resume() {
	x.work++
	x.inside = true
	_, waiting := x.next()
	x.inside = false
	if !waiting {
		x.next, x.stop = nil, nil
	}
}

// decide records a decision of the code or, on replay, compares it with the
// recorded one. It returns the decision's ID, and false if they differ.
func (x *Execution) decide(body history.Body) (int32, bool) {
	e := history.Event{ID: x.nextID, Time: x.now, Body: body}
	if x.replaying {
		if x.cursor >= len(x.recorded) || !sameDecision(x.recorded[x.cursor], e) {
			x.diverge(e)
			return 0, false
		}
		x.cursor++
	} else {
		x.decided = append(x.decided, e)
	}
	x.nextID++
	return e.ID, true
}

// complete decides the end of the execution.
func (x *Execution) complete(c *history.ExecutionCompleted) {
	if _, ok := x.decide(c); ok {
		x.ended = true
	}
}

// fail ends the execution by err, if nothing has before.
func (x *Execution) fail(err error) error {
	if x.err == nil {
		x.err = err
	}
	return x.err
}
