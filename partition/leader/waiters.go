package leader

import "sync"

// waiters are the calls that wait for instances. It is safe for concurrent use.
type waiters struct {
	mu    sync.Mutex // protects the fields below
	by    map[InstanceRef][]*waiter
	count int
	limit int
}

// waiter waits until an instance is not Pending, or has ended.
type waiter struct {
	ended bool
	told  chan Instance // capacity 1
}

func (w *waiter) satisfied(in Instance) bool {
	return in.Status.Ended() || !w.ended && in.Status != pendingStatus
}

// add lets w wait. Whoever adds looks at the state afterwards: what is applied
// later is told.
func (ws *waiters) add(ref InstanceRef, w *waiter) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= ws.limit {
		return ErrOverloaded
	}
	ws.count++
	ws.by[ref] = append(ws.by[ref], w)
	return nil
}

// remove takes w out; it may be out already.
func (ws *waiters) remove(ref InstanceRef, w *waiter) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i, x := range ws.by[ref] {
		if x == w {
			ws.take(ref, i)
			return
		}
	}
}

func (ws *waiters) take(ref InstanceRef, i int) {
	all := ws.by[ref]
	last := len(all) - 1
	all[i] = all[last]
	all[last] = nil
	ws.count--
	if last == 0 {
		delete(ws.by, ref)
		return
	}
	ws.by[ref] = all[:last]
}

// tell tells waiters how an instance is.
func (ws *waiters) tell(n notice) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i := len(ws.by[n.ref]) - 1; i >= 0; i-- {
		if w := ws.by[n.ref][i]; w.satisfied(n.instance) {
			w.told <- n.instance
			ws.take(n.ref, i)
		}
	}
}

func (ws *waiters) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.count
}
