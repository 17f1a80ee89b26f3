package leader

import (
	"context"
	"slices"
	"sync"

	"github.com/reprise-run/reprise/history"
)

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
	// started is the execution that a start has begun, where only its end is meant;
	// empty: whatever the instance is.
	started history.ExecutionID
	told    chan notice // capacity 1
}

// means reports whether w waits for what was started as the given execution.
func (w *waiter) means(started history.ExecutionID) bool {
	return w.started == "" || w.started == started
}

func (w *waiter) satisfied(in Instance) bool {
	return in.Status.Ended() || !w.ended && in.Status != history.Pending
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

// outlook is a message: whether what a waiter waits for is still to come.
type outlook struct {
	ref   InstanceRef
	w     *waiter
	comes chan bool // capacity 1
}

func (o *outlook) handle(c *core) error {
	l := c.lives[o.ref]
	comes := l != nil && l.rec != nil && l.entity == nil && !l.rec.Status.Ended() &&
		(o.w.ended || l.rec.Status == history.Pending) && o.w.means(l.rec.StartedAs())
	o.comes <- comes || c.willTell(o.ref, o.w)
	return nil
}

// willTell reports whether an entry that is not applied yet tells w.
func (c *core) willTell(ref InstanceRef, w *waiter) bool {
	tells := func(n notice) bool { return n.ref == ref && w.means(n.started) && w.satisfied(n.instance) }
	for _, e := range c.inFlight {
		if slices.ContainsFunc(e.notices, tells) {
			return true
		}
	}
	return slices.ContainsFunc(c.view.open.notices, tells)
}

func (o *outlook) fail() { o.comes <- false }

// foresees reports whether an added waiter is sure to be told, because the
// instance is live in the leader's memory: then the entry that ends it comes
// later, and nothing has to be read or confirmed. False means that nobody knows.
func (c *core) foresees(ctx context.Context, ref InstanceRef, w *waiter) bool {
	o := &outlook{ref, w, make(chan bool, 1)}
	if c.mailbox.push(o, requests) != nil {
		return false
	}
	select {
	case comes := <-o.comes:
		return comes
	case <-ctx.Done():
	case <-c.ended:
	}
	return false
}

// tell tells waiters how an instance is.
func (ws *waiters) tell(n notice) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for i := len(ws.by[n.ref]) - 1; i >= 0; i-- {
		if w := ws.by[n.ref][i]; w.means(n.started) && w.satisfied(n.instance) {
			w.told <- n
			ws.take(n.ref, i)
		}
	}
}

func (ws *waiters) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.count
}
