package reprise

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
)

// All waits until every future is done. It returns the values in the order of the
// futures, and the errors joined; the value of a failed one is zero.
func All[T any](o *Orchestration, fs ...Future[T]) ([]T, error) {
	values := make([]T, len(fs))
	var errs []error
	canceled := false
	for i, f := range fs {
		var err error
		if values[i], err = f.Await(o); err != nil {
			if o.scope.err != nil && err == error(o.scope.err) {
				if canceled {
					continue // once is enough
				}
				canceled = true
			}
			errs = append(errs, err)
		}
	}
	return values, errors.Join(errs...)
}

// Any waits for the future that is done first, failed ones included, and cancels
// the others. It returns its index and its outcome.
func Any[T any](o *Orchestration, fs ...Future[T]) (int, T, error) {
	cases := make([]Awaitable, len(fs))
	for i, f := range fs {
		cases[i] = f
	}
	first := Select(o, cases...)
	v, err := fs[first].outcome()
	return first, v, err
}

// Select waits for the future that is done first, cancels the others, and returns
// its index. The futures may be of different types.
func Select(o *Orchestration, cases ...Awaitable) int {
	if len(cases) == 0 {
		panic(misuse("a wait for the first of no futures would never end"))
	}
	q := enqueue(o, cases)
	first := q.next()
	q.cancelRest(ErrCanceled, "")
	return first
}

// Result is the outcome of a future.
type Result[T any] struct {
	Value T
	Err   error
}

// AsCompleted yields the index and the outcome of each future in the order in
// which they are done, which is the same on replay. Leaving the loop early
// cancels the rest.
func AsCompleted[T any](o *Orchestration, fs ...Future[T]) iter.Seq2[int, Result[T]] {
	return func(yield func(int, Result[T]) bool) {
		cases := make([]Awaitable, len(fs))
		for i, f := range fs {
			cases[i] = f
		}
		q := enqueue(o, cases)
		for range fs {
			i := q.next()
			v, err := fs[i].outcome()
			if !yield(i, Result[T]{v, err}) {
				q.cancelRest(ErrCanceled, "")
				return
			}
		}
	}
}

// WithTimeout waits for f, but no longer than d; then f is cancelled and the
// error is [ErrTimeout].
func WithTimeout[T any](o *Orchestration, d time.Duration, f Future[T]) (T, error) {
	if f.of(o).done {
		return f.outcome()
	}
	timer := o.Timer(d)
	if Select(o, f, timer) == 0 {
		return f.outcome()
	}
	if timer.f.err != nil { // the scope was cancelled; a sub-orchestration may be ending
		return f.Await(o)
	}
	return *new(T), fmt.Errorf("%s: no outcome within %v: %w", f.f.what, d, ErrTimeout)
}

// queue yields futures as they are done.
type queue struct {
	o       *Orchestration
	futures []*future
	done    []int // indexes, in the order in which they were done
	taken   int
	// canceled is set once the rest was cancelled because the scope was.
	canceled bool
}

func enqueue(o *Orchestration, cases []Awaitable) *queue {
	q := &queue{o: o, futures: make([]*future, len(cases))}
	for i, c := range cases {
		f := c.of(o)
		q.futures[i] = f
		if f.done {
			q.done = append(q.done, i)
		} else {
			f.waiters = append(f.waiters, func() { q.done = append(q.done, i) })
		}
	}
	slices.SortStableFunc(q.done, func(a, b int) int { return cmp.Compare(q.futures[a].order, q.futures[b].order) })
	return q
}

// next waits for one more future and returns its index.
func (q *queue) next() int {
	scope := q.o.scope
	q.o.wait(func() bool { return len(q.done) > q.taken || scope.err != nil && !q.canceled })
	if len(q.done) == q.taken {
		// What belongs to a scope around this one is this wait's all the same.
		q.canceled = true
		q.cancelRest(scope.err, scope.err.Reason)
		q.o.wait(func() bool { return len(q.done) > q.taken })
	}
	q.taken++
	return q.done[q.taken-1]
}

// cancelRest gives up what is not done, but for sub-orchestrations that were asked to
// end: they are let to.
func (q *queue) cancelRest(err error, reason string) {
	for _, f := range q.futures {
		if !f.ending {
			f.abandon(err, reason)
		}
	}
}
