package engine

import (
	"runtime"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Handle is what the code of an orchestrator decides and waits with. It may be
// used by the orchestrator's own goroutine only, and only until it returns. Other
// user code that uses it panics with a text that says so; a goroutine of the go
// statement ends, and the orchestrator fails with that text.
//
// While the execution is unloaded, decisions do nothing and waits do not return.
type Handle struct{ x *Execution }

// Promise stands for the outcome of an activity, a child, a timer or an operation of
// an entity, or for a critical section.
type Promise struct {
	// Result is what the activity, the child or the operation returned, or the input of
	// the event or update. It is set before the callback runs.
	Result history.Payload
	// Failure is how it failed; nil if it succeeded, and for a timer or a lock.
	Failure *history.Failure

	id      int32
	of      awaited
	settled func(*Promise)
	// queue is where the promise of an event or an update waits, and got what it got.
	queue *queue
	got   arrival
	// released is set once a critical section is left, or not wanted any more.
	released bool
}

// awaited is what a promise stands for.
type awaited uint8

const (
	anActivity awaited = iota
	aTimer
	aChild
	anEvent
	aCall
	aLock
	aRequest
	anUpdate
)

// ID returns the ID of the decision whose outcome the promise stands for. That of an
// event has none.
func (p *Promise) ID() int32 { return p.id }

// Update returns what the promise of an update got.
func (p *Promise) Update() *Update { return p.got.(*Update) }

// Identity returns the instance that runs.
func (h *Handle) Identity() Identity { return h.x.identity }

// Started returns the event that started the execution. It must not be changed.
func (h *Handle) Started() *history.ExecutionStarted { return h.x.started }

// Now returns the orchestrator's clock: the time when the episode began.
func (h *Handle) Now() time.Time { return h.x.now }

// Quiet reports whether what the code says to the world was said before, or is
// not meant: during replay and while the execution is unloaded.
func (h *Handle) Quiet() bool { return h.x.replaying || h.x.unwinding }

// Schedule decides that an activity is to run. The callback runs on the
// orchestrator's goroutine, in a later wait, when there is an outcome.
func (h *Handle) Schedule(task *history.TaskScheduled, settled func(*Promise)) *Promise {
	return h.promise(task, &Promise{settled: settled})
}

// CreateTimer decides that a timer is to fire; a time that no history can tell is the
// last that it can. The callback runs as in [Handle.Schedule].
func (h *Handle) CreateTimer(fireAt time.Time, settled func(*Promise)) *Promise {
	return h.promise(&history.TimerCreated{FireAt: history.StoredTime(fireAt)}, &Promise{of: aTimer, settled: settled})
}

// StartChild decides that another orchestration is to be started and its end
// awaited. Where no instance ID is chosen, one is made and set. The callback runs
// as in [Handle.Schedule].
func (h *Handle) StartChild(child *history.SubOrchestrationInstanceCreated, settled func(*Promise)) *Promise {
	h.name(child)
	return h.promise(child, &Promise{of: aChild, settled: settled})
}

// StartDetached decides that another orchestration is to be started that has no
// parent. Where no instance ID is chosen, one is made and set.
func (h *Handle) StartDetached(child *history.SubOrchestrationInstanceCreated) {
	child.Detached = true
	h.name(child)
	if h.enter("start something"); !h.x.unwinding {
		h.decide(child)
	}
}

func (h *Handle) name(child *history.SubOrchestrationInstanceCreated) {
	if child.Instance == "" {
		child.Instance = history.ChildInstance(h.x.started.ExecutionID, h.x.nextID)
	}
}

// ContinueAsNew says that, if the program returns without a failure, the instance
// goes on as a new execution with this input, and of this version unless that is empty.
// Events that no wait has taken are kept; everything else that is pending is dropped.
func (h *Handle) ContinueAsNew(input history.Payload, version string) {
	if h.enter("continue as new"); !h.x.unwinding {
		h.x.continues = &history.ExecutionCompleted{Status: history.ContinuedAsNew, Result: input, NextVersion: version}
	}
}

// Cancel decides that the outcome is not wanted any more, for the given reason: the
// callback will not run. It does nothing if the callback has run already.
func (h *Handle) Cancel(p *Promise, reason string) {
	h.enter("cancel")
	if p.of == anEvent || p.of == anUpdate {
		h.x.giveBack(p)
		return
	}
	if h.x.unwinding || h.x.pending[p.id] != p {
		return
	}
	switch p.of {
	case aTimer:
		h.decide(&history.TimerCanceled{TimerID: p.id})
	case aChild:
		h.decide(&history.SubOrchestrationInstanceCanceled{TaskID: p.id, Reason: history.BriefReason(reason)})
	case aCall:
		h.decide(&history.EntityOperationCanceled{TaskID: p.id})
	case aLock:
		h.ReleaseLock(p)
	default:
		h.decide(&history.TaskCanceled{TaskID: p.id, Reason: history.BriefReason(reason)})
	}
	delete(h.x.pending, p.id)
}

// SetCustomStatus sets the status that the instance shows after the episode.
func (h *Handle) SetCustomStatus(status history.Payload) {
	if h.enter("set the custom status"); !h.x.unwinding {
		h.x.status = status
	}
}

// Wait returns when ready does. It runs the callbacks of what was settled and
// asks ready after each time, never otherwise.
func (h *Handle) Wait(ready func() bool) {
	h.enter("wait")
	x := h.x
	if x.inHandler && !x.unwinding {
		if ready() {
			return // there is nothing to wait for
		}
		panic("reprise: the handler of an update may not wait; receive the update in the orchestrator instead, and reply to it")
	}
	for {
		if x.unwinding {
			runtime.Goexit()
		}
		x.minded()
		for len(x.settled) > 0 {
			p := x.settled[0]
			x.settled = x.settled[1:]
			x.work++
			if p.of == anEvent {
				x.takeEvent(p)
			}
			if p.queue != nil {
				p.queue.given--
				x.forget(p.queue)
			}
			p.settled(p)
		}
		if ready() {
			return
		}
		if !x.running.goroutine.calling() {
			x.strayed("reprise: an orchestrator waited on another goroutine than its own; start activities and wait for them without the go statement")
		}
		if x.running != &x.main {
			x.running.ready = ready
			x.block()
			continue
		}
		if x.runOthers() {
			continue
		}
		if x.waitsForNothing() {
			panic(x.deadlock())
		}
		x.block()
	}
}

func (h *Handle) promise(body history.Body, p *Promise) *Promise {
	h.enter("start something")
	if !h.x.unwinding {
		p.id = h.decide(body)
		h.x.pending[p.id] = p
	}
	return p
}

// decide records a decision and returns its ID. It does not return where the
// code differs from the history.
func (h *Handle) decide(body history.Body) int32 {
	h.x.outgoing(body)
	id, ok := h.x.decide(body)
	if !ok {
		h.x.halt()
	}
	return id
}

// enter does not return where the handle must not be used.
func (h *Handle) enter(what string) {
	x := h.x
	switch {
	case x.looking:
		h.NotLooking(what)
	case x.inside || x.unwinding:
		x.minded()
	case x.ended:
		x.strayed("reprise: an orchestration was used after its end, to " + what)
	default:
		x.strayed("reprise: an orchestration was used by another goroutine than its own, to " + what)
	}
}
