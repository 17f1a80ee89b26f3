package reprise

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Retry repeats a failing activity: attempts in all, with a wait of first before
// the second one, twice as long before each further one ([Backoff]). The leader
// of the partition repeats; the orchestrator is not run for it, and sees only the
// last failure.
func Retry(attempts int, first time.Duration, opts ...RetryOption) ActivityOption {
	policy := history.RetryPolicy{MaxAttempts: attempts, First: first, Backoff: 2}
	for _, opt := range opts {
		opt(&policy)
	}
	err := checkPolicy(policy)
	return func(s *activityOptions) {
		s.retry, s.handler = &policy, nil
		if err != nil {
			s.err = err
		}
	}
}

// RetryOption sets something of a [Retry].
type RetryOption func(*history.RetryPolicy)

// Backoff sets the factor from one wait to the next, at least 1; the default is 2.
func Backoff(factor float64) RetryOption {
	return func(p *history.RetryPolicy) { p.Backoff = factor }
}

// MaxInterval limits the wait between two attempts.
func MaxInterval(d time.Duration) RetryOption {
	return func(p *history.RetryPolicy) { p.MaxInterval = d }
}

// TotalTime limits the time from the first attempt to the start of the last.
func TotalTime(d time.Duration) RetryOption {
	return func(p *history.RetryPolicy) { p.Total = d }
}

// NotOn ends the retries at errors of these codes: sentinels made by [NewError]
// and types that are a [CodedError]. See also [NonRetryable].
func NotOn(errs ...CodedError) RetryOption {
	return func(p *history.RetryPolicy) {
		for _, err := range errs {
			p.NonRetryable = append(p.NonRetryable, err.ErrorCode())
		}
	}
}

func checkPolicy(p history.RetryPolicy) error {
	switch {
	case p.MaxAttempts < 1:
		return fmt.Errorf("retry policy with %d attempts; there must be at least 1", p.MaxAttempts)
	case p.First < 0 || p.MaxInterval < 0 || p.Total < 0:
		return fmt.Errorf("retry policy with a negative duration")
	case !(p.Backoff >= 1):
		return fmt.Errorf("retry policy with a backoff of %v; it must be at least 1", p.Backoff)
	}
	return nil
}

// RetryContext is what a [RetryHandler] decides on.
type RetryContext struct {
	Attempt int           // the attempt that failed, from 1
	Err     error         // how it failed
	Elapsed time.Duration // since the first attempt was scheduled
}

// RetryHandler decides whether a failed activity is attempted again, and after
// which wait. It is part of the orchestrator: it decides the same on replay, and
// it waits for nothing.
type RetryHandler func(RetryContext) (wait time.Duration, again bool)

// RetryWith repeats a failing activity as the handler says. Each attempt is
// scheduled anew, after a durable timer, so each has its own idempotency key;
// prefer [Retry] where a policy suffices.
func RetryWith(handler RetryHandler) ActivityOption {
	return func(s *activityOptions) { s.handler, s.retry = handler, nil }
}

// activityCall is one scheduled activity with the attempts that a handler makes.
type activityCall struct {
	o       *Orchestration
	future  *future
	task    *history.TaskScheduled
	handler RetryHandler
	first   time.Time
	attempt int
	current *engine.Promise // the attempt, or the wait before the next
}

func (c *activityCall) schedule() {
	c.attempt++
	c.current = c.o.h.Schedule(c.task, c.ended)
}

func (c *activityCall) ended(p *engine.Promise) {
	if p.Failure == nil {
		c.future.settle(p.Result, nil)
		return
	}
	err := ErrorOf(c.o.codec, p.Failure)
	if c.handler != nil && !p.Failure.NonRetriable {
		wait, again := c.handler(RetryContext{Attempt: c.attempt, Err: err, Elapsed: c.o.Now().Sub(c.first)})
		if again && !c.future.done {
			c.current = c.o.h.CreateTimer(c.o.Now().Add(max(wait, 0)), func(*engine.Promise) { c.schedule() })
			return
		}
	}
	c.future.settle(nil, err)
}

func (c *activityCall) cancel() { c.o.h.Cancel(c.current) }
