package engine

import (
	"slices"

	"github.com/reprise-run/reprise/history"
)

// sameDecision reports whether the code decided what was recorded. Inputs are
// not compared: their encoding may change with the code.
func sameDecision(recorded, decided history.Event) bool {
	if recorded.ID != decided.ID {
		return false
	}
	switch d := decided.Body.(type) {
	case *history.TaskScheduled:
		r, ok := recorded.Body.(*history.TaskScheduled)
		return ok && r.Name == d.Name
	case *history.TaskCanceled:
		r, ok := recorded.Body.(*history.TaskCanceled)
		return ok && r.TaskID == d.TaskID
	case *history.SubOrchestrationInstanceCreated:
		r, ok := recorded.Body.(*history.SubOrchestrationInstanceCreated)
		return ok && r.Name == d.Name && r.Instance == d.Instance && r.Detached == d.Detached
	case *history.SubOrchestrationInstanceCanceled:
		r, ok := recorded.Body.(*history.SubOrchestrationInstanceCanceled)
		return ok && r.TaskID == d.TaskID && r.Request == d.Request
	case *history.TimerCreated:
		r, ok := recorded.Body.(*history.TimerCreated)
		return ok && r.FireAt.Equal(d.FireAt)
	case *history.TimerCanceled:
		r, ok := recorded.Body.(*history.TimerCanceled)
		return ok && r.TimerID == d.TimerID
	case *history.EventSent:
		r, ok := recorded.Body.(*history.EventSent)
		return ok && r.Instance == d.Instance && history.EventName(r.Name) == history.EventName(d.Name)
	case *history.EntityOperationSignaled:
		r, ok := recorded.Body.(*history.EntityOperationSignaled)
		return ok && r.Target == d.Target && r.Operation == d.Operation
	case *history.EntityOperationCalled:
		r, ok := recorded.Body.(*history.EntityOperationCalled)
		return ok && r.Target == d.Target && r.Operation == d.Operation && r.Section == d.Section
	case *history.EntityOperationCanceled:
		r, ok := recorded.Body.(*history.EntityOperationCanceled)
		return ok && r.TaskID == d.TaskID
	case *history.EntityLockRequested:
		r, ok := recorded.Body.(*history.EntityLockRequested)
		return ok && slices.Equal(r.LockSet, d.LockSet)
	case *history.EntityUnlockSent:
		r, ok := recorded.Body.(*history.EntityUnlockSent)
		return ok && r.TaskID == d.TaskID
	case *history.LocalTaskRun:
		r, ok := recorded.Body.(*history.LocalTaskRun)
		return ok && r.Name == d.Name && r.Attempt == d.Attempt
	case *history.PatchApplied:
		r, ok := recorded.Body.(*history.PatchApplied)
		return ok && r.Patch == d.Patch
	case *history.UpdateCompleted:
		r, ok := recorded.Body.(*history.UpdateCompleted)
		return ok && r.Request == d.Request
	case *history.ExecutionCompleted:
		r, ok := recorded.Body.(*history.ExecutionCompleted)
		return ok && r.Status == d.Status
	default:
		return false
	}
}

// theEnd is the place of a decision that no line of the user's code makes.
const theEnd = "the end of the orchestrator"

// diverge ends the execution because the code decided something else, or one
// thing more. It runs on the user's goroutine.
func (x *Execution) diverge(decided history.Event) {
	e := &history.NondeterminismError{
		EventIndex: x.recordedAt + x.cursor,
		Decided:    history.Describe(decided),
		Site:       callSite(),
	}
	if e.Site == "" {
		e.Site = theEnd
	}
	if x.cursor < len(x.recorded) {
		e.Recorded = history.Describe(x.recorded[x.cursor])
	}
	x.fail(e)
}

// oneLess ends the execution because the code waits although the history says
// that it decided one thing more. The place is where it waits.
func (x *Execution) oneLess() {
	x.site = theEnd
	if x.next != nil && !x.ended {
		x.locate = true
		x.resume()
	}
	x.fail(&history.NondeterminismError{
		EventIndex: x.recordedAt + x.cursor,
		Recorded:   history.Describe(x.recorded[x.cursor]),
		Site:       x.site,
	})
}
