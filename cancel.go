package reprise

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
