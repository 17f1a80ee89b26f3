package engine

import "github.com/reprise-run/reprise/history"

// CallEntity decides that an entity is to run an operation whose outcome is awaited.
// Section is the ID of the promise of [Handle.RequestLock] where the call is made in a
// critical section, otherwise [history.NoID]. The callback runs as in
// [Handle.Schedule].
func (h *Handle) CallEntity(call *history.EntityOperationCalled, settled func(*Promise)) *Promise {
	return h.promise(call, &Promise{of: aCall, settled: settled})
}

// SignalEntity decides that an entity is to run an operation of which nothing comes
// back.
func (h *Handle) SignalEntity(signal *history.EntityOperationSignaled) {
	if h.enter("signal an entity"); !h.x.unwinding {
		h.decide(signal)
	}
}

// RequestLock decides that a critical section over entities is to be entered; its
// lock set is sorted and holds each entity once. The callback runs as in
// [Handle.Schedule], when all of them are locked. The locks are held until
// [Handle.ReleaseLock], or until the execution ends in any way.
func (h *Handle) RequestLock(request *history.EntityLockRequested, settled func(*Promise)) *Promise {
	return h.promise(request, &Promise{of: aLock, settled: settled})
}

// ReleaseLock decides that a critical section is left, or not wanted any more if it
// was not entered yet; then the callback will not run. A second call does nothing.
func (h *Handle) ReleaseLock(p *Promise) {
	h.enter("leave a critical section")
	if h.x.unwinding || p.released {
		return
	}
	h.decide(&history.EntityUnlockSent{TaskID: p.id})
	p.released = true
	delete(h.x.pending, p.id)
}
