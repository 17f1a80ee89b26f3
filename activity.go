package reprise

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Activity is the contract of an activity: its durable name, its types, and how
// it is attempted. An activity is an ordinary function that may do anything; it
// runs at least once and its outcome is recorded exactly once.
type Activity[In, Out any] struct {
	name    string
	options activityOptions
}

// NewActivity returns a descriptor. Options given here hold wherever the activity
// is scheduled without others.
func NewActivity[In, Out any](name string, opts ...ActivityOption) Activity[In, Out] {
	a := Activity[In, Out]{name: name}
	a.options.apply(opts)
	return a
}

// Name returns the durable name.
func (a Activity[In, Out]) Name() string { return a.name }

// Start schedules the activity and returns its future.
func (a Activity[In, Out]) Start(o *Orchestration, in In, opts ...ActivityOption) Future[Out] {
	options := a.options
	options.apply(opts)
	f := o.promise(fmt.Sprintf("activity %q", a.name))
	input, err := EncodePayload(o.codec, "input of "+f.what, in)
	if problem := errors.Join(checkName(a.name), options.problem()); problem != nil {
		err = fmt.Errorf("start %s: %w", f.what, problem)
	}
	if err != nil {
		f.settle(nil, err)
	}
	if f.done {
		return Future[Out]{f}
	}
	all := &attempts{o: o, future: f, next: options.retries.byHandler(o)}
	all.begin = func(settled func(*engine.Promise)) *engine.Promise {
		return o.h.Schedule(&history.TaskScheduled{
			Name: a.name, Input: input, Retry: options.retries.policy, Timeout: options.timeout, Options: options.taskOptions(),
		}, settled)
	}
	if options.local {
		beginLocal(o, all, a.name, input, options)
	}
	all.start()
	return Future[Out]{f}
}

// Call schedules the activity and waits for its outcome.
func (a Activity[In, Out]) Call(o *Orchestration, in In, opts ...ActivityOption) (Out, error) {
	return a.Start(o, in, opts...).Await(o)
}

// bind implements Descriptor.
func (a Activity[In, Out]) bind(r *Registry, fn func(context.Context, In) (Out, error)) error {
	_, taken := r.activities[a.name]
	if err := checkBinding[In, Out](r, "activity", a.name, fn == nil, taken); err != nil {
		return err
	}
	if err := a.options.problem(); err != nil {
		return fmt.Errorf("bind activity %q: %w", a.name, err)
	}
	run := intercepted(r.aroundActivities, overPayloads(r.codec, fmt.Sprintf("activity %q", a.name), fn))
	r.activities[a.name] = func(ctx context.Context, input history.Payload) (history.Payload, *history.Failure) {
		output, err := run(ctx, input)
		if errors.Is(err, ErrPending) {
			return nil, &history.Failure{Type: history.FailurePending, Message: err.Error()}
		}
		if err != nil {
			return nil, FailureOf(r.codec, err)
		}
		return output, nil
	}
	return nil
}
