package reprise

import (
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Future stands for a value that comes later: an activity's output, a timer. It
// belongs to the orchestration that made it.
type Future[T any] struct{ f *future }

// Await waits for the future and returns its value or its error. It can be called
// again and returns the same. Where the scope of o is cancelled meanwhile, the wait
// ends with a *[CanceledError]; a sub-orchestration of that scope has been asked to
// end then, and Await returns how it ended.
func (f Future[T]) Await(o *Orchestration) (T, error) {
	f.of(o)
	o.wait(func() bool { return f.f.done || o.scope.err != nil && !f.f.ending })
	if !f.f.done {
		return *new(T), o.scope.err
	}
	return f.outcome()
}

// Done reports whether Await would return at once.
func (f Future[T]) Done() bool { return f.f != nil && f.f.done }

// Cancel says that the value is not wanted any more. A pending activity is
// dropped, and if it runs its context is cancelled; a timer will not fire; a
// sub-orchestration is terminated. From then on Await returns [ErrCanceled]. Nothing
// happens to a future that is done.
func (f Future[T]) Cancel(o *Orchestration) { f.of(o).abandon(ErrCanceled, "") }

// of returns the future after checking that it can be used with o.
func (f Future[T]) of(o *Orchestration) *future {
	switch {
	case f.f == nil:
		panic(misuse("a zero Future was used; futures come from Start and Timer"))
	case f.f.o.running != o.running:
		panic(misuse("the future of %s was used with another orchestration", f.f.what))
	}
	return f.f
}

func (f Future[T]) outcome() (T, error) {
	if f.f.err != nil {
		return *new(T), f.f.err
	}
	if r, ok := any(*new(T)).(received); ok {
		v, err := r.fromUpdate(f.f)
		return v.(T), err
	}
	value := "output of "
	if f.f.data {
		value = "data of "
	}
	return DecodePayload[T](f.f.o.codec, value+f.f.what, f.f.result)
}

// Awaitable is a future of any type, for [Select].
type Awaitable interface {
	of(o *Orchestration) *future
}

// future is a Future without its type.
type future struct {
	o      *Orchestration
	what   string // for people
	done   bool
	order  int // the how-manieth to be done
	result history.Payload
	err    error
	value  *engine.Update // of the future of an update
	// waiters run once, when the future is done.
	waiters []func()
	// cancel decides that the outcome is not wanted; nil where there is nothing to
	// cancel.
	cancel func(reason string)
	// askToEnd asks what is awaited to end, and reports whether its end is still to
	// be awaited; nil where nothing can be asked.
	askToEnd func(reason string) bool
	// data is set where the value is the data of an event.
	data bool
	// begun is set where something was decided, so that it may be done.
	begun bool
	// ending is set once it was asked.
	ending bool
}

// promise returns a future of the scope of o. It is done already where the scope is
// cancelled; then nothing must be decided for it.
func (o *Orchestration) promise(what string) *future {
	f := &future{o: o, what: what}
	if o.scope.err != nil {
		f.settle(nil, o.scope.err)
	} else {
		o.scope.add(f)
	}
	return f
}

func (f *future) settle(result history.Payload, err error) {
	if f.done {
		return
	}
	f.o.settled++
	f.done, f.order, f.result, f.err = true, f.o.settled, result, err
	f.cancel, f.askToEnd = nil, nil
	delete(f.o.scope.pending, f)
	waiters := f.waiters
	f.waiters = nil
	for _, waiter := range waiters {
		waiter()
	}
}

// abandon gives the outcome up.
func (f *future) abandon(err error, reason string) {
	if f.done {
		return
	}
	if f.cancel != nil {
		f.cancel(reason)
	}
	f.settle(nil, err)
}

// endBy ends the future because its scope is cancelled, or asks for its end.
func (f *future) endBy(err *CanceledError) {
	if f.done || f.ending {
		return
	}
	if f.askToEnd != nil && f.askToEnd(err.Reason) {
		f.ending = true
		return
	}
	f.abandon(err, err.Reason)
}
