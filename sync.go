package reprise

import "slices"

// Semaphore lets so many coroutines of an orchestration pass at a time, first come
// first served. Make it with [NewSemaphore].
type Semaphore struct {
	free  int
	queue []*pass // who waits, oldest first
}

type pass struct{ given bool }

// NewSemaphore returns a semaphore that lets n pass at a time.
func NewSemaphore(n int) *Semaphore { return &Semaphore{free: n} }

// Acquire waits until o may pass. The error is nil, or the *[CanceledError] of the
// scope of o; then it did not pass, and must not release.
func (s *Semaphore) Acquire(o *Orchestration) error {
	if s.free > 0 {
		s.free--
		return nil
	}
	p := &pass{}
	s.queue = append(s.queue, p)
	if err := o.WaitUntil(func() bool { return p.given }); err != nil {
		leave(&s.queue, p)
		return err
	}
	return nil
}

// Release lets one more pass.
func (s *Semaphore) Release() {
	if len(s.queue) == 0 {
		s.free++
		return
	}
	next(&s.queue).given = true
}

// Mutex lets one coroutine of an orchestration pass at a time, first come first served.
// It is needed only where a coroutine waits while it holds it: between two waits, no
// other runs. The zero value is unlocked.
type Mutex struct {
	semaphore Semaphore
	locked    bool
}

// Lock waits until o holds the mutex. The error is nil, or the *[CanceledError] of the
// scope of o; then it does not hold it.
func (m *Mutex) Lock(o *Orchestration) error {
	if !m.locked {
		m.locked = true
		return nil
	}
	return m.semaphore.Acquire(o)
}

// Unlock gives the mutex to who waits longest. It panics where nobody holds it.
func (m *Mutex) Unlock() {
	switch {
	case !m.locked:
		panic(misuse("a mutex was unlocked that is not locked"))
	case len(m.semaphore.queue) > 0:
		m.semaphore.Release()
	default:
		m.locked = false
	}
}

// next takes the first of a queue that is not empty.
func next[T any](queue *[]T) T {
	first := (*queue)[0]
	var none T
	(*queue)[0] = none
	*queue = (*queue)[1:]
	return first
}

// leave takes one out of a queue, wherever it stands.
func leave[T comparable](queue *[]T, who T) {
	if i := slices.Index(*queue, who); i >= 0 {
		*queue = slices.Delete(*queue, i, i+1)
	}
}
