package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Raise raises an external event for an instance; it returns when the event is
// committed, and the event is raised exactly once. An instance that has ended drops it,
// which is no error. See [Client.RaiseEvent] for the errors.
func Raise[T any](ctx context.Context, c *Client, id history.InstanceID, e reprise.Event[T], data T, opts ...RaiseOption) error {
	payload, err := c.encode(fmt.Sprintf("data of event %q", e.Name()), data)
	if err != nil {
		return err
	}
	return c.RaiseEvent(ctx, id, e.Name(), payload, opts...)
}

// RaiseOption sets something of an event.
type RaiseOption func(*Call)

// WithRaiseTrace tells of which trace the raise is a part, and so is its being taken. One
// that is not valid is none.
func WithRaiseTrace(t history.Trace) RaiseOption { return func(c *Call) { c.Trace = t } }

// RaiseEvent raises an external event by its name. An instance that has ended drops
// it, which is no error. Errors: [ErrNotFound]; [ErrFull] where the instance has too
// many events that it has not taken; those of all requests.
func (c *Client) RaiseEvent(ctx context.Context, id history.InstanceID, name string, data history.Payload, opts ...RaiseOption) error {
	what := c.changes(id, "raise", "raise event %q for %q", name, id)
	what.info.Name = name
	for _, opt := range opts {
		opt(what.info)
	}
	return c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		_, err := durabletask.NewTaskHubSidecarServiceClient(conn).RaiseEvent(ctx, &durabletask.RaiseEventRequest{
			InstanceId: string(id), Name: name, Input: wire.FromPayload(data),
			ParentTraceContext: wire.FromTrace(what.info.Trace.Clean()), // it may be an interceptor's
		}, opts...)
		return err
	})
}
