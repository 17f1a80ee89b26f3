package client

import (
	"context"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
)

// CancelOption says how an instance is cancelled.
type CancelOption func(*reprisev1.CancelInstanceRequest)

// Reason says why, for people: at most [history.MaxReasonBytes].
func Reason(text string) CancelOption {
	return func(r *reprisev1.CancelInstanceRequest) { r.Reason = text }
}

// Cancel asks the orchestrator of an instance to end; it returns when the request is
// committed, not when the instance has ended. The orchestrator sees the request at its
// waits, as a reprise.CanceledError, and may clean up; so do sub-orchestrations that
// it awaits. An instance whose code has not begun ends at once, one that has ended
// stays as it is; neither is an error. Errors: [ErrNotFound]; those of all requests. See
// [Client.Terminate] for an end that runs no code.
func Cancel(ctx context.Context, c *Client, id history.InstanceID, opts ...CancelOption) error {
	req := &reprisev1.CancelInstanceRequest{InstanceId: string(id)}
	for _, opt := range opts {
		opt(req)
	}
	what := c.changes(id, "cancel", "cancel %q", id)
	_, err := ask(ctx, c, what, reprisev1.NewCancelServiceClient, reprisev1.CancelServiceClient.CancelInstance, req)
	return err
}

// Cancel asks the orchestrator to end; see the function [Cancel].
func (h Handle[Out]) Cancel(ctx context.Context, opts ...CancelOption) error {
	return Cancel(ctx, h.client, h.id, opts...)
}
