package reprise

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Start starts a sub-orchestration, a child of this orchestration, and returns its
// future. The child is an orchestration like any other, with a status and a history
// of its own, in whichever partition its ID is. A failure of it is an error with its
// identity; [ErrTerminated] says that somebody terminated it, [ErrInstanceExists]
// that a live instance has the chosen ID, which is left alone. To cancel the future
// terminates the child and all children below it; if the scope of o is cancelled, the
// child is asked to end, and its end is awaited. A child whose parent ends without
// waiting for it goes on.
func (d Orchestrator[In, Out]) Start(o *Orchestration, in In, opts ...ChildOption) Future[Out] {
	f := o.promise(fmt.Sprintf("sub-orchestration %q", d.name))
	options := applyChild(opts)
	options.version = cmp.Or(options.version, d.version)
	input, err := d.input(o.codec, f.what, in, options)
	if err == nil {
		if err = o.section.starts(); err != nil {
			err = fmt.Errorf("start %s: %w", f.what, err)
		}
	}
	if err != nil {
		f.settle(nil, err)
	}
	if f.done {
		return Future[Out]{f}
	}
	a := &attempts{o: o, future: f, next: options.retries.inCode(o)}
	a.begin = func(settled func(*engine.Promise)) *engine.Promise {
		return o.h.StartChild(options.created(d.name, input), settled)
	}
	a.start()
	f.askToEnd = a.askToEnd
	return Future[Out]{f}
}

// Call starts a sub-orchestration and waits for its end; see [Orchestrator.Start].
func (d Orchestrator[In, Out]) Call(o *Orchestration, in In, opts ...ChildOption) (Out, error) {
	return d.Start(o, in, opts...).Await(o)
}

// StartDetached starts an orchestration that has no parent: it outlives who starts it,
// whatever happens to either, and nobody is told how it ends. It returns the ID of
// the instance. If a live instance has a chosen ID, nothing is started. The error is
// of the input or of the options; [Retries] make no sense here.
func (d Orchestrator[In, Out]) StartDetached(from Sender, in In, opts ...ChildOption) (history.InstanceID, error) {
	what := fmt.Sprintf("orchestration %q", d.name)
	options := applyChild(opts)
	options.version = cmp.Or(options.version, d.version)
	input, err := d.input(from.payloads(), what, in, options)
	if err != nil {
		return "", err
	}
	if options.retries.policy != nil || options.retries.handler != nil {
		return "", fmt.Errorf("start %s: nobody is told how a detached orchestration ends, so it cannot be retried", what)
	}
	child := options.created(d.name, input)
	if err := from.startDetached(child); err != nil {
		return "", fmt.Errorf("start %s: %w", what, err)
	}
	return child.Instance, nil
}

// input checks a start and returns its input.
func (d Orchestrator[In, Out]) input(c Codec, what string, in In, options childOptions) (history.Payload, error) {
	if err := errors.Join(checkName(d.name), checkVersion(options.version), options.err, options.retries.err); err != nil {
		return nil, fmt.Errorf("start %s: %w", what, err)
	}
	return EncodePayload(c, "input of "+what, in)
}

// Parent returns who awaits the end of this orchestration; nil where nobody does.
// It must not be changed.
func (o *Orchestration) Parent() *history.ParentInstance { return o.h.Started().Parent }

// ChildOption sets how a sub-orchestration is started: [ChildID], [ChildTags],
// [ChildVersion], [Retry], [RetryWith], [Timeout].
type ChildOption interface{ child(*childOptions) }

type childOptions struct {
	id      history.InstanceID
	version string
	tags    map[string]string
	retries Retries
	timeout time.Duration
	err     error
}

func applyChild(opts []ChildOption) childOptions {
	var options childOptions
	for _, opt := range opts {
		opt.child(&options)
	}
	return options
}

// created is the decision to start a sub-orchestration.
func (s childOptions) created(name string, input history.Payload) *history.SubOrchestrationInstanceCreated {
	return &history.SubOrchestrationInstanceCreated{Instance: s.id, Name: name, Version: s.version, Input: input, Tags: maps.Clone(s.tags), Timeout: s.timeout}
}

type childOption func(*childOptions)

func (f childOption) child(s *childOptions) { f(s) }

// ChildID chooses the instance ID of a sub-orchestration. Without it the ID is made
// from the parent's execution ID. One that [history.ValidateOrchestrationID] refuses (it
// has / \ # ? or control characters, begins with @, or is too long) is an error of the start.
func ChildID(id history.InstanceID) ChildOption {
	return childOption(func(s *childOptions) {
		s.id = id
		s.err = errors.Join(s.err, history.ValidateOrchestrationID(id))
	})
}

// ChildTags gives the sub-orchestration tags, which have names, are UTF-8, and have at
// most [history.MaxTagsBytes] together.
func ChildTags(tags map[string]string) ChildOption {
	return childOption(func(s *childOptions) {
		s.tags = tags
		s.err = errors.Join(s.err, history.ValidateTags(tags))
	})
}

// ChildVersion sets the version of a sub-orchestration. Without it, it is that of the
// descriptor.
func ChildVersion(version string) ChildOption {
	return childOption(func(s *childOptions) { s.version = version })
}
