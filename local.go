package reprise

import (
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Local runs an activity inside the orchestrator's turn, on the node where that
// runs, while the orchestrator waits: without a dispatch, and without a commit of
// its own. Its outcome is recorded by the commit that ends the turn, together with
// those of other local activities of the turn.
//
// That is what it is for: short steps, of milliseconds. If the node dies before the
// commit, all local activities of the turn run again, on whichever node leads then,
// with the same [AttemptInfo] Key and a higher Fence. Between two long ones, wait for
// something else, or let them not be local. The function must be bound where the
// orchestrator is. A [Timeout] ends the wait; without one, a function that does not
// return holds the orchestrator as an endless loop does. [Retry] waits by durable
// timers. Start returns when the function has.
func Local() ActivityOption {
	return activityOption(func(s *activityOptions) { s.local = true })
}

// beginLocal lets the attempts of an activity run inside the turn.
func beginLocal(o *Orchestration, all *attempts, name string, input history.Payload, options activityOptions) {
	task := &engine.LocalTask{LocalTaskRun: history.LocalTaskRun{Name: name}, Input: input, Timeout: options.timeout}
	all.next = options.retries.inCode(o)
	all.begin = func(settled func(*engine.Promise)) *engine.Promise {
		task.Attempt++
		p := &engine.Promise{}
		p.Result, p.Failure = o.h.RunLocal(task)
		settled(p)
		return nil
	}
}
