package reprise

import (
	"cmp"
	"context"
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// AttemptInfo tells an activity about the attempt that it is.
type AttemptInfo struct {
	// Key is the idempotency key: the same for all attempts of this activity and
	// different for every other. Hand it to what the activity calls.
	Key string
	// Fence rises with each attempt. Whoever receives it refuses a lower one than
	// it has seen for the key, and so an attempt that was left behind.
	Fence Fence
	// Number is 1 for the first attempt.
	Number int
	// Name is that of the activity.
	Name string
	// Node is where the attempt runs.
	Node string
	// Trace is that of the activity; zero: it is not traced.
	Trace history.Trace
	// Tags are what interceptors of the orchestrator gave the activity. They must not
	// be changed.
	Tags map[string]string
	// TaskHub, Instance and Execution are the orchestration that scheduled it.
	TaskHub   history.TaskHub
	Instance  history.InstanceID
	Execution history.ExecutionID
	// TaskID is the decision that scheduled it.
	TaskID int32
}

// Token names the attempt for whoever completes it from outside, or says that it
// lives: letters, digits, - and _, at most [history.MaxTokenBytes]. It is no secret:
// whoever may call the cluster may complete the attempt.
func (a AttemptInfo) Token() string {
	return history.AttemptToken{
		Hub: a.TaskHub, Instance: a.Instance, Execution: a.Execution, TaskID: a.TaskID, Epoch: a.Fence.Epoch, N: a.Fence.N,
	}.String()
}

// Fence orders the attempts of one activity.
type Fence struct{ Epoch, N uint64 }

// Compare returns -1, 0 or 1 as f is lower than, equal to or higher than other.
func (f Fence) Compare(other Fence) int {
	return cmp.Or(cmp.Compare(f.Epoch, other.Epoch), cmp.Compare(f.N, other.N))
}

// String returns the fence as text that sorts as the fences do.
func (f Fence) String() string { return fmt.Sprintf("%016x-%016x", f.Epoch, f.N) }

type attemptKey struct{}

// Attempt returns what the context of an activity tells about the attempt. It is
// the zero value where ctx is not an activity's.
func Attempt(ctx context.Context) AttemptInfo {
	a, _ := ctx.Value(attemptKey{}).(AttemptInfo)
	return a
}

// ContextWithAttempt returns a context that [Attempt] reads; for whoever runs
// activities, and for their tests.
func ContextWithAttempt(ctx context.Context, a AttemptInfo) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}
