package client

import (
	"context"
	"fmt"
	"iter"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// Run starts an orchestration; see [Client.Start] for when it returns, and for
// its errors.
func Run[In, Out any](ctx context.Context, c *Client, d reprise.Orchestrator[In, Out], input In, opts ...StartOption) (Handle[Out], error) {
	payload, opts, err := prepare(c, d, input, opts)
	if err != nil {
		return Handle[Out]{}, err
	}
	id, err := c.Start(ctx, d.Name(), payload, opts...)
	if err != nil {
		return Handle[Out]{}, err
	}
	return Handle[Out]{c, id}, nil
}

// Execute starts an orchestration, waits for its end and returns its output; see
// [Client.Execute], and [Handle.Result] for the errors of an instance that did not
// complete. A context that ends ends the wait and not the orchestration.
func Execute[In, Out any](ctx context.Context, c *Client, d reprise.Orchestrator[In, Out], input In, opts ...StartOption) (Out, error) {
	var none Out
	payload, opts, err := prepare(c, d, input, opts)
	if err != nil {
		return none, err
	}
	in, err := c.Execute(ctx, d.Name(), payload, opts...)
	if err != nil {
		return none, err
	}
	return output[Out](c, in)
}

// prepare encodes an orchestration's input and adds what its descriptor says.
func prepare[In, Out any](c *Client, d reprise.Orchestrator[In, Out], input In, opts []StartOption) (history.Payload, []StartOption, error) {
	payload, err := c.encode(fmt.Sprintf("input of orchestration %q", d.Name()), input)
	if err != nil {
		return nil, nil, err
	}
	if v := d.VersionName(); v != "" {
		opts = append([]StartOption{WithVersion(v)}, opts...)
	}
	return payload, opts, nil
}

// output decodes the output of an instance that has ended.
func output[Out any](c *Client, in Instance) (Out, error) {
	if err := c.Outcome(in); err != nil {
		var none Out
		return none, err
	}
	return reprise.DecodePayload[Out](c.config.codec, fmt.Sprintf("output of %q", in.ID), in.Output)
}

// Attach returns a handle of an instance that was started before, here or
// elsewhere. Nothing is asked.
func Attach[In, Out any](c *Client, _ reprise.Orchestrator[In, Out], id history.InstanceID) Handle[Out] {
	return Handle[Out]{c, id}
}

// Handle stands for an instance whose output is an Out.
type Handle[Out any] struct {
	client *Client
	id     history.InstanceID
}

// ID returns the instance's ID.
func (h Handle[Out]) ID() history.InstanceID { return h.id }

// Result waits for the end and returns the output. If the instance did not
// complete, the error is an *[EndedError], which wraps the orchestrator's error:
// errors.Is and errors.As see through it.
func (h Handle[Out]) Result(ctx context.Context) (Out, error) {
	in, err := h.client.Wait(ctx, h.id)
	if err != nil {
		var none Out
		return none, err
	}
	return output[Out](h.client, in)
}

// Status reads the instance; see [Client.Status].
func (h Handle[Out]) Status(ctx context.Context) (Instance, error) {
	return h.client.Status(ctx, h.id)
}

// Watch yields how the instance is, whenever that changes; see [Client.Watch].
func (h Handle[Out]) Watch(ctx context.Context) iter.Seq2[Instance, error] {
	return h.client.Watch(ctx, h.id)
}

// History yields the events of the current execution; see [Client.History].
func (h Handle[Out]) History(ctx context.Context) iter.Seq2[history.Event, error] {
	return h.client.History(ctx, h.id, "")
}

// Terminate ends the instance; see [Client.Terminate].
func (h Handle[Out]) Terminate(ctx context.Context, reason string) error {
	payload, err := h.client.encode(fmt.Sprintf("reason to terminate %q", h.id), reason)
	if err != nil {
		return err
	}
	return h.client.Terminate(ctx, h.id, payload)
}

// Outcome returns nil for an instance that completed, and an *[EndedError] for
// one that ended otherwise.
func (c *Client) Outcome(in Instance) error {
	if in.Status == history.Completed {
		return nil
	}
	return &EndedError{Instance: in, err: reprise.ErrorOf(c.config.codec, in.Failure)}
}

// EndedError says that an instance ended without completing (or, from
// [Client.Outcome], has not ended). It wraps the orchestrator's error, if there
// is one.
type EndedError struct {
	Instance Instance
	err      error
}

// Error implements error.
func (e *EndedError) Error() string {
	text := fmt.Sprintf("orchestration %q is %v", e.Instance.ID, e.Instance.Status)
	switch {
	case e.err != nil:
		return text + ": " + e.err.Error()
	case e.Instance.Output != nil:
		return text + ": " + string(e.Instance.Output)
	}
	return text
}

// Unwrap returns the orchestrator's error.
func (e *EndedError) Unwrap() error { return e.err }
