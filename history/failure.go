package history

import "slices"

// Failure says how user code failed. A user's failing activity is data: it is
// recorded, it crosses nodes and languages, and the authoring API turns it back
// into an error that answers errors.Is and errors.As.
type Failure struct {
	// Type is the error's Go type or, from other SDKs, its class name.
	Type string
	// Code identifies a registered sentinel or type; empty where there is none.
	Code    string
	Message string
	Stack   string
	// NonRetriable ends retries at once.
	NonRetriable bool
	// Data is the value of a registered error type, encoded by the user's codec.
	Data Payload
	// MayHaveActed: whatever this failure says, an attempt before the one that failed may
	// have had its effect. It was lost, or it is not known how it ended.
	MayHaveActed bool
	// Inner holds what the error wraps; more than one where errors were joined.
	Inner []*Failure
	// Extra holds fields that this version does not know, as they came.
	Extra []byte
}

// Failure types that the system itself gives.
const (
	FailurePanic   = "panic"
	FailureTimeout = "timeout"
	// FailurePending is no failure: the activity's function has returned, and somebody
	// outside completes the attempt.
	FailurePending = "pending"
	// FailureOutcomeUnknown: an attempt that is not made again may have acted.
	FailureOutcomeUnknown = "outcome-unknown"
	// FailureTerminated: the child was terminated.
	FailureTerminated = "terminated"
	// FailureCanceled: the child was cancelled; or an attempt's context was.
	FailureCanceled = "canceled"
	// FailureExists: the child was not started, because a live instance has its ID.
	FailureExists = "instance-exists"
	// FailureTooDeep: the child was not started, because it would be below
	// [MaxDepth].
	FailureTooDeep = "too-deep"
	// FailureFlooded: the instance was ended by the server, because it got too many
	// events of other orchestrations that it did not take; or an entity took no call,
	// because too much waits for it.
	FailureFlooded = "flooded"
	// FailureTooLarge: a payload was over its limit, or what an orchestrator decided in
	// one episode; then it was ended by the server.
	FailureTooLarge = "payload-too-large"
)

// openEnds are the types of failures that do not say whether what failed has acted.
var openEnds = []string{FailurePanic, FailureTimeout, FailureOutcomeUnknown, FailureTerminated, FailureCanceled, FailureFlooded, FailureTooLarge}

// openCodes are the codes of the authoring API for some of them, which user code may
// return itself.
var openCodes = []string{"reprise.timeout", "reprise.canceled", "reprise.terminated", "reprise.outcome_unknown", "reprise.flooded", "reprise.too_large"}

// LeavesOpen reports whether a failure, or one that it wraps, does not say whether what
// failed has acted.
func (f *Failure) LeavesOpen() bool {
	return f.MayHaveActed || slices.Contains(openEnds, f.Type) || slices.Contains(openCodes, f.Code) ||
		slices.ContainsFunc(f.Inner, (*Failure).LeavesOpen)
}
