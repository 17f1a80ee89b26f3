package reprise

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// MaxLocked is how many entities one critical section may lock.
const MaxLocked = 256

// Critical locks the entities, runs fn, and unlocks them. While fn runs, nobody else's
// operation runs on any of them; operations that were there first have run before.
//
//	err := reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
//		if _, err := reprise.Do(s, from, Withdraw, x.Amount); err != nil {
//			return err
//		}
//		_, err := reprise.Do(s, to, Deposit, x.Amount)
//		return err
//	})
//
// The error is fn's, or says why the section was not entered: [ErrTimeout] where
// [EnterWithin] ran out.
//
// Two critical sections never wait for each other: entities are locked one after the
// other in one order that is the same for all orchestrations, and who is in a section
// waits for nobody else's lock. Therefore an orchestration in one calls only the entities
// that it has locked, by [Do]; it enters no second section, starts no sub-orchestration
// that it awaits, and does not signal what it has locked. It is told by an error where
// the compiler cannot tell.
//
// A section is the whole orchestration's, so all this holds for its other coroutines
// too, from when the locks are asked for until they are given up. Coroutines that each
// want a section enter them one after the other, holding one [Mutex]; so does one that
// starts a sub-orchestration.
//
// The locks are held until fn has returned or panicked, or the orchestration has ended in
// any other way: terminated, continued as new, replaced. A crash of nodes neither loses
// nor leaks them. A section undoes nothing: what its operations did stays, also where fn
// fails.
func Critical(o *Orchestration, lock LockSet, fn func(s *Section) error, opts ...SectionOption) error {
	var options sectionOptions
	for _, opt := range opts {
		opt(&options)
	}
	if err := errors.Join(o.section.nests(), lock.problem(), options.err); err != nil {
		return fmt.Errorf("enter a critical section over %v: %w", lock, err)
	}
	entered := o.promise(fmt.Sprintf("critical section over %v", lock))
	if entered.done {
		return entered.err
	}
	s := &Section{o: o, locked: lock.entities}
	entered.cancel = func(string) { s.leave() }
	entered.begun = true
	s.lock = o.h.RequestLock(&history.EntityLockRequested{LockSet: lock.entities}, func(*engine.Promise) { entered.settle(nil, nil) })
	o.section = s
	defer s.leave()
	if err := options.wait(o, Future[None]{entered}); err != nil {
		return err
	}
	return fn(s)
}

// LockSet is the entities that a critical section locks, made by [Lock].
type LockSet struct{ entities []history.InstanceID }

// Lock returns a set of entities. Their order means nothing, and one that is named twice
// is locked once.
func Lock(entities ...EntityReference) LockSet {
	var l LockSet
	for _, e := range entities {
		l.entities = append(l.entities, e.ID())
	}
	slices.Sort(l.entities)
	l.entities = slices.Compact(l.entities)
	return l
}

// String returns the IDs of the entities.
func (l LockSet) String() string {
	var b strings.Builder
	for i, id := range l.entities {
		switch {
		case i == 4:
			fmt.Fprintf(&b, " and %d more", len(l.entities)-i)
			return b.String()
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(string(id))
	}
	return b.String()
}

func (l LockSet) problem() error {
	if len(l.entities) == 0 {
		return errors.New("there is no entity to lock")
	}
	if len(l.entities) > MaxLocked {
		return fmt.Errorf("it would lock %d entities; at most %d are allowed", len(l.entities), MaxLocked)
	}
	for _, id := range l.entities {
		if err := history.ValidateEntityID(id); err != nil {
			return err
		}
	}
	return nil
}

// SectionOption sets how a critical section is entered: [EnterWithin].
type SectionOption func(*sectionOptions)

type sectionOptions struct {
	within time.Duration // 0: any time
	err    error
}

// EnterWithin limits how long [Critical] waits for the locks; then it gives up those that
// it has and those that it has asked for, and returns [ErrTimeout].
func EnterWithin(d time.Duration) SectionOption {
	return func(s *sectionOptions) {
		if s.within = d; d <= 0 {
			s.err = fmt.Errorf("a limit of %v; it must be above 0", d)
		}
	}
}

func (s sectionOptions) wait(o *Orchestration, entered Future[None]) error {
	if s.within == 0 {
		_, err := entered.Await(o)
		return err
	}
	_, err := WithTimeout(o, s.within, entered)
	return err
}

// Section is a critical section while an orchestration is in it. It can ask the locked
// entities for operations ([Do], [StartIn]), and nothing else: not sleep, not start other
// orchestrations, not lock more.
type Section struct {
	o      *Orchestration
	locked []history.InstanceID // sorted
	lock   *engine.Promise
	left   bool
}

// Do asks a locked entity for an operation and waits for its outcome. The error is the
// operation's, or says that the entity is not locked.
func Do[State, In, Out any](s *Section, e EntityRef[State], p Operation[State, In, Out], in In, opts ...OperationOption) (Out, error) {
	return StartIn(s, e, p, in, opts...).Await(s.o)
}

// StartIn asks a locked entity for an operation and returns its future, so that several
// entities work at a time. The operation runs in the section, also where the section is
// left before the future is done.
func StartIn[State, In, Out any](s *Section, e EntityRef[State], p Operation[State, In, Out], in In, opts ...OperationOption) Future[Out] {
	return p.start(s.o, s, e, in, opts)
}

// leave unlocks the entities, and those that were asked.
func (s *Section) leave() {
	if s.left {
		return
	}
	s.left = true
	s.o.section = nil
	s.o.h.ReleaseLock(s.lock)
}

// id returns the ID of the section's decision; that of no section is [history.NoID].
func (s *Section) id() int32 {
	if s == nil {
		return history.NoID
	}
	return s.lock.ID()
}

// whileOpen lets retries of a call end with the section.
func (s *Section) whileOpen(next whatNext) whatNext {
	if s == nil || next == nil {
		return next
	}
	return func(attempt int, f *history.Failure, err error) (time.Duration, bool) {
		if s.left {
			return 0, false
		}
		return next(attempt, f, err)
	}
}

// The rules. The receiver is the section that the orchestration is in; nil: none.

// calls says why an entity must not be called by way of the section via; nil: outside of
// any.
func (s *Section) calls(via *Section, entity history.InstanceID) error {
	switch {
	case via != nil && via != s:
		return errors.New("the critical section was left before")
	case via == nil && s != nil:
		return fmt.Errorf("the orchestration is in the critical section over %v, which belongs to all its coroutines: meanwhile it calls only the entities that it has locked, by reprise.Do and the section", LockSet{s.locked})
	case via != nil && !via.locks(entity):
		return errors.New("the critical section has not locked the entity; name it in reprise.Lock")
	}
	return nil
}

// signals says why an entity must not be signaled.
func (s *Section) signals(entity history.InstanceID) error {
	if s != nil && s.locks(entity) {
		return errors.New("the entity is locked by the critical section, so the signal would wait for its end; ask for the operation by reprise.Do, or signal after the section")
	}
	return nil
}

// nests says why another section must not be entered.
func (s *Section) nests() error {
	if s != nil {
		return fmt.Errorf("the orchestration is in the one over %v, which belongs to all its coroutines, and sections do not nest; lock all entities in one section, or let coroutines enter theirs one after the other by a reprise.Mutex", LockSet{s.locked})
	}
	return nil
}

// starts says why a sub-orchestration must not be started.
func (s *Section) starts() error {
	if s != nil {
		return fmt.Errorf("the orchestration is in the critical section over %v, which belongs to all its coroutines, and a sub-orchestration could wait for its locks for ever; start it before or after, which coroutines agree on by a reprise.Mutex", LockSet{s.locked})
	}
	return nil
}

func (s *Section) locks(entity history.InstanceID) bool {
	_, found := slices.BinarySearch(s.locked, entity)
	return found
}
