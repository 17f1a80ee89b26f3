package reprise

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reprise-run/reprise/engine"
)

// Scope runs fn with an orchestration of its own scope: what is started with the inner
// o belongs to the scope, and is cancelled together when the scope is, or the one
// around it, or when fn returns. [Orchestration.Cancel] of the inner o cancels it:
//
//	err := o.Scope(func(o *reprise.Orchestration) error {
//		quotes := askAll(o)
//		…
//		o.Cancel(errEnough) // the others are not wanted any more
//		return nil
//	})
//
// Scope returns what fn returns. In a scope that is cancelled already it returns that
// error and does not run fn.
func (o *Orchestration) Scope(fn func(o *Orchestration) error) error {
	if err := o.Canceled(); err != nil {
		return err
	}
	s := newScope(o.scope)
	defer s.leave()
	return fn(&Orchestration{o.running, s})
}

// Within is [Orchestration.Scope] with a deadline: after d, by a durable timer, the
// scope is cancelled with [ErrTimeout] as the cause.
func (o *Orchestration) Within(d time.Duration, fn func(o *Orchestration) error) error {
	return o.Scope(func(inner *Orchestration) error {
		timer := o.h.CreateTimer(o.Now().Add(max(d, 0)), func(*engine.Promise) {
			inner.scope.cancel(&CanceledError{Reason: fmt.Sprintf("not done within %v", d), cause: ErrTimeout})
		})
		defer func() { o.h.Cancel(timer, "") }()
		return fn(inner)
	})
}

// Shielded runs fn with a scope that is not cancelled when the one around it is: for
// cleanup that has to be done in any case. It runs fn in a cancelled scope too.
func (o *Orchestration) Shielded(fn func(o *Orchestration) error) error {
	s := newScope(nil)
	defer s.leave()
	return fn(&Orchestration{o.running, s})
}

// shielded reports whether o is shielded from the cancellation of the orchestration.
func (o *Orchestration) shielded() bool {
	s := o.scope
	for s.parent != nil {
		s = s.parent
	}
	return s != o.root
}

// Cancel cancels the scope that o stands for and all scopes in it: the whole
// orchestration, if o is what the orchestrator was called with. cause, which may be
// nil, is what [CanceledError] wraps. A scope is cancelled once.
func (o *Orchestration) Cancel(cause error) {
	err := &CanceledError{cause: cause}
	if cause != nil {
		err.Reason = cause.Error()
	}
	o.scope.cancel(err)
}

// Canceled returns nil, or the *[CanceledError] of the scope that o stands for.
func (o *Orchestration) Canceled() error {
	if o.scope.err != nil {
		return o.scope.err
	}
	return nil
}

// scope is what is cancelled together.
type scope struct {
	parent *scope // nil: nothing around it cancels it
	err    *CanceledError
	// pending are the futures that are not done and not asked to end, inner the scopes
	// that were not left; both with the how-manieth they are.
	pending map[*future]uint64
	inner   map[*scope]uint64
	count   uint64
}

func newScope(parent *scope) *scope {
	s := &scope{parent: parent}
	if parent != nil {
		if parent.inner == nil {
			parent.inner = make(map[*scope]uint64)
		}
		parent.count++
		parent.inner[s] = parent.count
	}
	return s
}

// add takes in a future that is not done.
func (s *scope) add(f *future) {
	if s.pending == nil {
		s.pending = make(map[*future]uint64)
	}
	s.count++
	s.pending[f] = s.count
}

// cancel cancels what the scope holds, oldest first: its futures, then the scopes in
// it.
func (s *scope) cancel(err *CanceledError) {
	if s.err != nil {
		return
	}
	s.err = err
	for _, f := range byAge(s.pending) {
		f.endBy(err)
	}
	for _, inner := range byAge(s.inner) {
		inner.cancel(err)
	}
}

// leave ends a scope: what is still pending in it is not wanted any more.
func (s *scope) leave() {
	s.cancel(&CanceledError{Reason: "its scope was left"})
	if s.parent != nil {
		delete(s.parent.inner, s)
	}
}

func byAge[K comparable](m map[K]uint64) []K {
	return slices.SortedFunc(maps.Keys(m), func(a, b K) int { return cmp.Compare(m[a], m[b]) })
}
