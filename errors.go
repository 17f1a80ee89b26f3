package reprise

import (
	"errors"
	"fmt"
)

// Error is a sentinel that keeps its identity across nodes: errors.Is finds it in
// what an activity or orchestration returned elsewhere, by its code. Declare it
// once, beside the descriptors:
//
//	var ErrNotApproved = reprise.NewError("shop.not_approved", "the order was not approved")
type Error struct{ code, message string }

// NewError returns a sentinel. The code is durable and unique in your programs;
// codes that begin with "reprise." are ours.
func NewError(code, message string) *Error { return &Error{code, message} }

// Error implements error.
func (e *Error) Error() string { return e.message }

// ErrorCode implements [CodedError].
func (e *Error) ErrorCode() string {
	if e == nil {
		return ""
	}
	return e.code
}

// Is reports whether target is a sentinel of the same code.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.code == e.code
}

// CodedError is implemented by error types that keep their identity and their
// value across nodes: errors.As fills a variable of the type from what was
// recorded. The code depends on the type only (it is also asked of a zero value),
// and the fields that matter are those that the codec encodes:
//
//	type Declined struct{ Reason string }
//
//	func (d *Declined) Error() string   { return "card declined: " + d.Reason }
//	func (*Declined) ErrorCode() string { return "card.declined" }
type CodedError interface {
	error
	ErrorCode() string
}

// Errors that the system gives.
var (
	// ErrTimeout: an attempt of an activity took longer than its [Timeout], or a
	// [WithTimeout] ran out.
	ErrTimeout = NewError("reprise.timeout", "timed out")
	// ErrCanceled: the result is not wanted any more, the scope was cancelled, or the
	// sub-orchestration ended because it was; see [CanceledError].
	ErrCanceled = NewError("reprise.canceled", "canceled")
	// ErrTerminated: the sub-orchestration was terminated.
	ErrTerminated = NewError("reprise.terminated", "orchestration was terminated")
	// ErrOutcomeUnknown: an activity was begun, and nobody knows how far it came: it is
	// attempted [AtMostOnce]; or an attempt that [Retry] or the server made before the
	// last one was lost, or ended in a way that leaves it open. The error is then that of
	// the last attempt, and this one as well.
	ErrOutcomeUnknown = NewError("reprise.outcome_unknown", "the outcome of the activity is unknown")
	// ErrPending is what an activity returns that is completed from outside, by the
	// token of its attempt: [AttemptInfo.Token].
	ErrPending = NewError("reprise.pending", "the activity is completed from outside")
	// ErrInstanceExists: the sub-orchestration was not started, because a live
	// instance has its ID.
	ErrInstanceExists = NewError("reprise.instance_exists", "a live instance has the ID")
	// ErrTooDeep: the sub-orchestration was not started, because more than
	// [history.MaxDepth] orchestrations would have waited above it.
	ErrTooDeep = NewError("reprise.too_deep", "sub-orchestrations are nested too deep")
	// ErrFlooded: the orchestration was ended, because others sent it more events than
	// it took, beyond all bounds; or an entity took no call, or an operation could not
	// signal it, because too much waits; or an orchestration went on signaling it out of
	// a critical section.
	ErrFlooded = NewError("reprise.flooded", "too many events that were not taken")
)

// CanceledError is what waits return in a scope that was cancelled: errors.Is finds
// [ErrCanceled] in it, and the cause. It keeps its reason across nodes: it is the error
// of an orchestration that ended by its cancellation, and the cause of the context of
// an activity that is not wanted any more.
type CanceledError struct {
	// Reason says why, for people; it may be empty.
	Reason string
	cause  error
}

// Error implements error.
func (e *CanceledError) Error() string {
	if e.Reason == "" {
		return ErrCanceled.message
	}
	return ErrCanceled.message + ": " + e.Reason
}

// ErrorCode implements [CodedError].
func (*CanceledError) ErrorCode() string { return ErrCanceled.code }

// Is reports whether target is [ErrCanceled].
func (*CanceledError) Is(target error) bool { return ErrCanceled.Is(target) }

// Unwrap returns the cause: [ErrTimeout] for a deadline, or what
// [Orchestration.Cancel] got.
func (e *CanceledError) Unwrap() error { return e.cause }

// PanicError is a panic of an activity or an orchestrator.
type PanicError struct {
	Value string // what it panicked with, as text
	Stack string // functions and source lines, innermost first
}

// Error implements error. The stack is not part of the text.
func (e *PanicError) Error() string { return "panic: " + e.Value }

// NonRetryable marks err: an activity that returns it is not attempted again. It
// returns nil for nil.
func NonRetryable(err error) error {
	if err == nil {
		return nil
	}
	return &nonRetryable{err}
}

type nonRetryable struct{ err error }

func (e *nonRetryable) Error() string { return e.err.Error() }
func (e *nonRetryable) Unwrap() error { return e.err }

// IsNonRetryable reports whether err, or anything that it wraps, was marked by
// [NonRetryable], here or on another node.
func IsNonRetryable(err error) bool {
	var marked *nonRetryable
	var remote *RemoteError
	return errors.As(err, &marked) || errors.As(err, &remote) && remote.failure.NonRetriable
}

func misuse(format string, args ...any) string { return "reprise: " + fmt.Sprintf(format, args...) }
