package client

import (
	"context"
	"fmt"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Raise raises an external event for an instance; it returns when the event is
// committed, and the event is raised exactly once. See [Client.RaiseEvent] for the
// errors.
func Raise[T any](ctx context.Context, c *Client, id history.InstanceID, e reprise.Event[T], data T) error {
	payload, err := c.encode(fmt.Sprintf("data of event %q", e.Name()), data)
	if err != nil {
		return err
	}
	return c.RaiseEvent(ctx, id, e.Name(), payload)
}

// RaiseEvent raises an external event by its name. An instance that has ended drops
// it, which is no error. Errors: [ErrNotFound]; [ErrFull] where the instance has too
// many events that it has not taken; those of all requests.
func (c *Client) RaiseEvent(ctx context.Context, id history.InstanceID, name string, data history.Payload) error {
	what := c.changes(id, "raise", "raise event %q for %q", name, id)
	what.info.Name = name
	req := &durabletask.RaiseEventRequest{InstanceId: string(id), Name: name, Input: wire.FromPayload(data)}
	_, err := ask(ctx, c, what, durabletask.NewTaskHubSidecarServiceClient, durabletask.TaskHubSidecarServiceClient.RaiseEvent, req)
	return err
}
