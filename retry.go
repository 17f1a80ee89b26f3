package reprise

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Retries says how what failed is attempted again: an [ActivityOption] and a
// [ChildOption], made by [Retry] or [RetryWith].
type Retries struct {
	policy  *history.RetryPolicy
	handler RetryHandler
	err     error
}

// Retry repeats a failing activity or sub-orchestration: attempts in all, with a
// wait of first before the second one, twice as long before each further one
// ([Backoff]). An activity is repeated by the leader of the partition; the
// orchestrator is not run for it, and sees only the last failure. Of a
// sub-orchestration each attempt is a new execution.
func Retry(attempts int, first time.Duration, opts ...RetryOption) Retries {
	policy := history.RetryPolicy{MaxAttempts: attempts, First: first, Backoff: 2}
	for _, opt := range opts {
		opt(&policy)
	}
	return Retries{policy: &policy, err: checkPolicy(policy)}
}

// RetryWith repeats what failed as the handler says. Each attempt of an activity
// is scheduled anew, after a durable timer, so each has its own idempotency key;
// prefer [Retry] where a policy suffices.
func RetryWith(handler RetryHandler) Retries { return Retries{handler: handler} }

func (r Retries) activity(s *activityOptions) { s.retries = r }
func (r Retries) child(s *childOptions)       { s.retries = r }

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
// and types that are a [CodedError]. Their codes have [history.MaxFinalCodesBytes] at
// most, together. See also [NonRetryable].
func NotOn(errs ...CodedError) RetryOption {
	return func(p *history.RetryPolicy) {
		for _, err := range errs {
			p.NonRetryable = append(p.NonRetryable, err.ErrorCode())
		}
	}
}

func checkPolicy(p history.RetryPolicy) error {
	codes := 0
	for _, code := range p.NonRetryable {
		codes += len(code)
	}
	switch {
	case codes > history.MaxFinalCodesBytes:
		return fmt.Errorf("retry policy with %d codes of errors that are final, %d bytes together; at most %d are allowed: mark such errors by NonRetryable where they arise", len(p.NonRetryable), codes, history.MaxFinalCodesBytes)
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

// RetryHandler decides whether what failed is attempted again, and after which
// wait. It is part of the orchestrator: it decides the same on replay, and it
// waits for nothing.
type RetryHandler func(RetryContext) (wait time.Duration, again bool)

// whatNext says what follows a failed attempt: another one after a wait, or none.
type whatNext func(attempt int, f *history.Failure, err error) (wait time.Duration, again bool)

// attempts is something that an orchestrator started, with the attempts that it
// makes itself.
type attempts struct {
	o      *Orchestration
	future *future
	// begin decides on one attempt. It returns what to cancel while the attempt is
	// pending; nil where it has settled already.
	begin   func(settled func(*engine.Promise)) *engine.Promise
	next    whatNext // nil: nothing follows a failure
	count   int
	current *engine.Promise // the attempt, or the wait before the next
	waits   bool            // it is the wait
}

// start makes the first attempt.
func (a *attempts) start() {
	a.future.begun = true
	a.future.cancel = func(reason string) { a.o.h.Cancel(a.current, reason) }
	a.attempt()
}

// askToEnd asks a sub-orchestration to end; there is nobody to ask between two
// attempts.
func (a *attempts) askToEnd(reason string) bool {
	if a.waits {
		return false
	}
	a.o.h.AskToEnd(a.current, reason)
	return true
}

func (a *attempts) attempt() {
	a.waits = false
	a.count++
	if p := a.begin(a.ended); p != nil {
		a.current = p
	}
}

func (a *attempts) ended(p *engine.Promise) {
	if p.Failure == nil {
		a.future.settle(p.Result, nil)
		return
	}
	err := ErrorOf(a.o.codec, p.Failure)
	if a.next != nil && !a.future.ending {
		if wait, again := a.next(a.count, p.Failure, err); again && !a.future.done {
			a.waits = true
			a.current = a.o.h.CreateTimer(a.o.Now().Add(max(wait, 0)), func(*engine.Promise) { a.attempt() })
			return
		}
	}
	a.future.settle(nil, err)
}

// byHandler lets the user's code decide on further attempts.
func (r Retries) byHandler(o *Orchestration) whatNext {
	if r.handler == nil {
		return nil
	}
	first := o.Now()
	return func(attempt int, f *history.Failure, err error) (time.Duration, bool) {
		if f.NonRetriable {
			return 0, false
		}
		return r.handler(RetryContext{Attempt: attempt, Err: err, Elapsed: o.Now().Sub(first)})
	}
}

// inCode lets the orchestration itself make the attempts, by the handler or by
// the policy.
func (r Retries) inCode(o *Orchestration) whatNext {
	if r.policy == nil {
		return r.byHandler(o)
	}
	first := o.Now()
	return func(attempt int, f *history.Failure, _ error) (time.Duration, bool) {
		next, again := r.policy.Next(attempt, first, o.Now(), f)
		return next.Sub(o.Now()), again
	}
}
