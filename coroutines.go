package reprise

// Go runs fn as a coroutine of the orchestration, from the orchestrator's next wait on.
// Only one coroutine runs at a time, until it waits, and they take turns in the order
// in which they were made: so there are no data races, and all is the same on replay.
// The inner o stands for the scope of o.
//
// A coroutine is not waited for ([WaitGroup] does that): one that has not ended when
// the orchestrator returns is unwound, as when an execution is unloaded. If one panics,
// the orchestrator does, where it waits. Coroutines wait for each other with
// [WaitGroup], [Channel], [Mutex] and [Semaphore] of this package, never with those of
// package sync. If all wait for each other and nothing is pending, the orchestrator
// panics, and says so.
func (o *Orchestration) Go(fn func(o *Orchestration)) {
	o.h.Go(func() { fn(o) })
}

// WaitGroup waits for coroutines of an orchestration. The zero value is an empty one.
type WaitGroup struct{ running int }

// Go runs fn as a coroutine that the group waits for.
func (w *WaitGroup) Go(o *Orchestration, fn func(o *Orchestration)) {
	w.running++
	o.Go(func(o *Orchestration) {
		defer func() { w.running-- }()
		fn(o)
	})
}

// Wait returns when all coroutines of the group have ended. The error is nil, or the
// *[CanceledError] of the scope of o; then some may not have ended.
func (w *WaitGroup) Wait(o *Orchestration) error {
	return o.WaitUntil(func() bool { return w.running == 0 })
}
