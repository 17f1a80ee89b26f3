package partition

import (
	"time"

	"github.com/reprise-run/reprise/history"
)

// historyCheck is what was found on the way through the events of an execution.
type historyCheck struct {
	bad     func(string, ...any)
	open    map[int32]history.Event // decisions that await something
	entered map[int32]bool          // critical sections
	updates map[string]bool         // by request: whether there is a reply
	began   time.Time               // of the episode
	last    int32                   // the ID of the last decision
	end     *history.ExecutionCompleted
}

// checkHistory verifies the events of the present execution.
func checkHistory(in *checked, events []history.Event, inbox []*Mail, bad func(string, ...any)) {
	h := historyCheck{bad: bad, open: make(map[int32]history.Event), entered: make(map[int32]bool), updates: make(map[string]bool), last: history.NoID}
	for i, e := range events {
		h.event(i, e)
	}
	rec := in.record
	switch {
	case h.end != nil && h.end.Status != rec.Status:
		bad("history ends with %s, the record says %s", h.end.Status, rec.Status)
	case h.end == nil && rec.Status.Ended():
		bad("history has no end, the record says %s", rec.Status)
	}
	if h.last != rec.LastID {
		bad("the last decision has ID %d, the record says %d", h.last, rec.LastID)
	}
	if h.end != nil {
		return
	}
	for _, m := range inbox {
		h.arrive(m.Event, true)
	}
	h.haveRows(in)
	nothingElse(h, "activity", in.activities)
	nothingElse(h, "child", in.children)
	nothingElse(h, "operation", in.calls)
	nothingElse(h, "critical section", in.sections)
	nothingElse(h, "timer", in.timersOf)
}

// event takes in the event at a place of the history.
func (h *historyCheck) event(i int, e history.Event) {
	if h.end != nil {
		h.bad("event %d comes after the completion", i)
	}
	if e.ID != history.NoID {
		if e.ID <= h.last {
			h.bad("event %d has ID %d after %d", i, e.ID, h.last)
		}
		h.last = e.ID
	}
	switch body := e.Body.(type) {
	case history.OrchestratorStarted:
		if e.Time.Before(h.began) {
			h.bad("time runs backward at event %d", i)
		}
		h.began = e.Time
	case *history.ExecutionStarted:
		if i != 1 {
			h.bad("started again at event %d", i)
		}
	case *history.TaskScheduled, *history.TimerCreated, *history.EntityOperationCalled, *history.EntityLockRequested:
		h.open[e.ID] = e
	case *history.SubOrchestrationInstanceCreated:
		if !body.Detached {
			h.open[e.ID] = e
		}
	case *history.TaskCanceled:
		delete(h.open, body.TaskID)
	case *history.TimerCanceled:
		delete(h.open, body.TimerID)
	case *history.SubOrchestrationInstanceCanceled:
		if !body.Request {
			delete(h.open, body.TaskID)
		}
	case *history.EntityOperationCanceled:
		delete(h.open, body.TaskID)
	case *history.EntityUnlockSent:
		delete(h.open, body.TaskID)
	case *history.UpdateRequested:
		if _, ok := h.updates[body.Request]; ok {
			h.bad("update %q arrives twice", body.Request)
		}
		h.updates[body.Request] = false
	case *history.UpdateCompleted:
		if replied, ok := h.updates[body.Request]; replied || !ok {
			h.bad("reply to update %q, which has one already (%t) or has not arrived", body.Request, replied)
		}
		h.updates[body.Request] = true
	case *history.ExecutionCompleted:
		h.end = body
	default:
		h.arrive(e, false)
	}
}

// arrive takes in what may be the outcome of a decision; stored: it is in the inbox.
func (h *historyCheck) arrive(e history.Event, stored bool) {
	var id int32
	switch body := e.Body.(type) {
	case *history.TaskCompleted:
		id = body.TaskID
	case *history.TaskFailed:
		id = body.TaskID
	case *history.SubOrchestrationInstanceCompleted:
		id = body.TaskID
	case *history.SubOrchestrationInstanceFailed:
		id = body.TaskID
	case *history.EntityOperationCompleted:
		id = body.TaskID
	case *history.EntityOperationFailed:
		id = body.TaskID
	case *history.EntityLockGranted:
		if _, ok := h.open[body.TaskID]; !ok || h.entered[body.TaskID] {
			h.bad("%s: nothing awaits it (stored: %t)", history.Describe(e), stored)
		}
		h.entered[body.TaskID] = true
		return // the section stays open until it is left
	case *history.TimerFired:
		id = body.TimerID
		if e.Time.Before(body.FireAt) {
			h.bad("timer %d fired at %s, before it was due at %s", id, clock(e.Time), clock(body.FireAt))
		}
	default:
		return
	}
	if _, ok := h.open[id]; !ok {
		h.bad("%s: nothing awaits it (stored: %t)", history.Describe(e), stored)
	}
	delete(h.open, id)
}

// haveRows verifies that what is awaited has its rows.
func (h *historyCheck) haveRows(in *checked) {
	for id, e := range h.open {
		switch e.Body.(type) {
		case *history.TaskScheduled:
			if in.activities[id] == nil {
				h.bad("activity %d is awaited and not pending", id)
			}
		case *history.TimerCreated:
			if _, ok := in.timersOf[id]; !ok {
				h.bad("timer %d is awaited and not armed", id)
			}
		case *history.SubOrchestrationInstanceCreated:
			if _, ok := in.children[id]; !ok {
				h.bad("child %d is awaited and has no row", id)
			}
		case *history.EntityOperationCalled:
			if _, ok := in.calls[id]; !ok {
				h.bad("operation %d is awaited and has no row", id)
			}
		case *history.EntityLockRequested:
			if c := in.sections[id]; c == nil {
				h.bad("critical section %d was not left and has no row", id)
			} else if c.Entered != h.entered[id] {
				h.bad("critical section %d was entered: %t, its row says %t", id, h.entered[id], c.Entered)
			}
		}
	}
}

// nothingElse verifies that all rows of a kind are awaited.
func nothingElse[T any](h historyCheck, what string, rows map[int32]T) {
	for id := range rows {
		if _, ok := h.open[id]; !ok {
			h.bad("%s %d has a row and nothing awaits it", what, id)
		}
	}
}
