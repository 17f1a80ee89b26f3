package reprise

import "fmt"

// Limit says how many futures of a [Map] are pending at a time.
type Limit int

// Map starts a future for each item, at most limit of them pending at a time, and waits
// until all are done. It returns the values in the order of the items, and the errors
// joined; the value of a failed one is zero. Its cost is linear in the items.
//
//	receipts, err := reprise.Map(o, orders, reprise.Limit(20),
//		func(o *reprise.Orchestration, order Order) reprise.Future[Receipt] { return Charge.Start(o, order) })
//
// What takes several steps for each item is a sub-orchestration, or coroutines and a
// [Semaphore].
func Map[In, Out any](o *Orchestration, items []In, limit Limit, start func(o *Orchestration, item In) Future[Out]) ([]Out, error) {
	if limit < 1 {
		return nil, fmt.Errorf("map with a limit of %d; it must be at least 1", limit)
	}
	pending := 0
	fs := make([]Future[Out], len(items))
	for i, item := range items {
		o.wait(func() bool { return pending < int(limit) || o.scope.err != nil })
		fs[i] = start(o, item)
		if f := fs[i].of(o); !f.done {
			pending++
			f.waiters = append(f.waiters, func() { pending-- })
		}
	}
	return All(o, fs...)
}
