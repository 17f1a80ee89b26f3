package executor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// failureUnbound is a type of failure besides those of package history: no function
// has the name here.
const failureUnbound = "unbound"

// Activities runs the activities of a registry in this process. It is safe for
// concurrent use. How many run at a time is up to the caller.
type Activities struct {
	registry  *reprise.Registry
	options   Options
	abandoned atomic.Int64
}

// NewActivities returns a runner for the registry's activities.
func NewActivities(registry *reprise.Registry, options Options) *Activities {
	return &Activities{registry: registry, options: options}
}

// Names returns the names of the activities that are bound, sorted.
func (a *Activities) Names() []string { return a.registry.Activities() }

// Abandoned returns how many functions still run whose attempt has ended, because
// they do not heed their context.
func (a *Activities) Abandoned() int { return int(a.abandoned.Load()) }

// Run runs one attempt and returns how it ended; it always has an answer. beat is
// called with each heartbeat of the function, from any goroutine; nil is no progress. A
// panic is a failure of type [history.FailurePanic]. When the attempt's timeout is over
// the failure is [history.FailureTimeout], and when ctx is done it is
// [history.FailureCanceled]: then Run does not wait for the function, which should end
// because its context did.
func (a *Activities) Run(ctx context.Context, task leader.ActivityTask, beat func(history.Payload)) leader.ActivityResult {
	result := leader.ActivityResult{Attempt: task.Attempt, Node: a.options.Node}
	fn, ok := a.registry.Activity(task.Name)
	if !ok {
		result.Failure = &history.Failure{Type: failureUnbound, Message: fmt.Sprintf("no activity is bound to the name %q", task.Name)}
		return result
	}
	ctx = reprise.ContextWithAttempt(ctx, reprise.AttemptInfo{
		Key:    task.Key,
		Fence:  reprise.Fence{Epoch: task.Attempt.Fence.Epoch, N: task.Attempt.Fence.N},
		Number: task.Number, TaskHub: task.Attempt.Hub, Instance: task.Attempt.Instance, Execution: task.Attempt.Execution,
		Name: task.Name, Node: a.options.Node, Trace: task.Trace, Tags: task.Tags,
		TaskID: task.Attempt.TaskID,
	})
	began := time.Now()
	ctx, pulse := a.feel(ctx, task, beat)
	defer pulse.end()
	ctx, cancel := limited(ctx, task.Timeout)
	defer cancel()
	ended := make(chan activityOutcome, 1)
	go call(ctx, fn, task.Input, ended)
	select {
	case o := <-ended:
		result.Result, result.Failure = o.result, o.failure
		if o.failure != nil && ctx.Err() != nil {
			result.Failure = endedEarly(ctx, task) // it failed because its context ended
		} else if o.failure != nil && o.failure.Type == history.FailurePending {
			result.Failure, result.Pending, result.Ran = nil, true, time.Since(began)
		}
	case <-ctx.Done():
		result.Failure = endedEarly(ctx, task)
		a.abandoned.Add(1)
		go func() {
			<-ended
			a.abandoned.Add(-1)
		}()
	}
	if result.Failure != nil || result.Pending {
		result.Progress = pulse.progress()
	}
	return result
}

func limited(ctx context.Context, timeout time.Duration) (context.Context, context.CancelFunc) {
	if timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, timeout, errAttemptTimeout)
}

var errAttemptTimeout = errors.New("attempt timed out")

type activityOutcome struct {
	result  history.Payload
	failure *history.Failure
}

// call runs the function on a goroutine of its own and sends exactly one outcome,
// also where it panics or ends the goroutine.
func call(ctx context.Context, fn reprise.ActivityFunc, input history.Payload, ended chan<- activityOutcome) {
	o := activityOutcome{failure: &history.Failure{Type: history.FailurePanic, Message: "the activity called runtime.Goexit"}}
	defer func() {
		if v := recover(); v != nil {
			f := &history.Failure{Type: history.FailurePanic, Message: fmt.Sprint(v), Stack: engine.PanicStack()}
			o = activityOutcome{failure: f.Bounded()}
		}
		ended <- o
	}()
	growStack()
	result, failure := fn(ctx, input)
	o = activityOutcome{result, failure}
}

// endedEarly returns the failure of an attempt whose context ended.
func endedEarly(ctx context.Context, task leader.ActivityTask) *history.Failure {
	typ, code, how := history.FailureTimeout, reprise.ErrTimeout.ErrorCode(), ""
	switch context.Cause(ctx) {
	case errAttemptTimeout:
		how = fmt.Sprintf("took longer than %v", task.Timeout)
	case errSilent:
		how = fmt.Sprintf("was silent for longer than %v", task.Options.HeartbeatTimeout)
	default:
		typ, code, how = history.FailureCanceled, reprise.ErrCanceled.ErrorCode(), "was canceled"
	}
	return &history.Failure{Type: typ, Code: code, Message: fmt.Sprintf("attempt %d of activity %q %s", task.Number, task.Name, how)}
}
