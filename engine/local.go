package engine

import (
	"errors"
	"runtime"
	"time"

	"github.com/reprise-run/reprise/history"
)

// LocalTask is one attempt of a local activity: one that runs inside the episode,
// while the orchestrator waits for it.
type LocalTask struct {
	history.LocalTaskRun // without its outcome
	// ID is the same for all attempts of the activity, and no other activity or
	// decision of the execution has it.
	ID      int32
	Input   history.Payload
	Timeout time.Duration // 0: none
	// Trace is that of the activity; zero: it is not traced.
	Trace history.Trace
}

// Locals runs an attempt of a local activity and returns its outcome. An error says
// that it cannot be run here: the episode ends with it and nothing is recorded.
type Locals func(LocalTask) (history.Payload, *history.Failure, error)

// errNoLocals says that an orchestrator called a local activity where none can run.
var errNoLocals = errors.New("no local activities run here")

// SetLocals says how local activities are run in the episodes to come.
func (x *Execution) SetLocals(run Locals) { x.locals = run }

// RunLocal runs an attempt of a local activity and decides its outcome. On replay
// it returns what was recorded. The task's ID is set where it is the first attempt.
func (h *Handle) RunLocal(task *LocalTask) (history.Payload, *history.Failure) {
	h.enter("run a local activity")
	x := h.x
	if x.unwinding {
		runtime.Goexit()
	}
	if !x.running.goroutine.calling() {
		x.strayed("reprise: an orchestrator ran a local activity on another goroutine than its own; call it without the go statement")
	}
	if task.Attempt <= 1 {
		task.Attempt, task.ID = 1, x.nextID
	}
	run := task.LocalTaskRun
	if !x.replaying {
		task.Trace = x.started.Trace.Task(x.started.ExecutionID, task.ID)
		x.runLocal(*task, &run)
	}
	h.decide(&run)
	if x.replaying {
		run = *x.recorded[x.cursor-1].Body.(*history.LocalTaskRun)
	}
	return run.Result, run.Failure
}

// runLocal gets the outcome of an attempt. It does not return where there is none.
func (x *Execution) runLocal(task LocalTask, run *history.LocalTaskRun) {
	err := errNoLocals
	if x.locals != nil {
		run.Result, run.Failure, err = x.locals(task)
	}
	if err != nil {
		x.fail(err)
		x.halt()
	}
}
