package client

import (
	"context"
	"fmt"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Update asks an orchestration to do something and waits for its reply, or until ctx is
// done, after which the orchestration goes on with it. It is done once, however often
// the call is repeated on its way. An error that the handler or the check returns is the
// error, as errors.Is and errors.As see it; where it also is [ErrRefused], nothing was
// done. Other errors: see [Client.AskUpdate].
func Update[In, Out any](ctx context.Context, c *Client, id history.InstanceID, u reprise.Update[In, Out], in In) (Out, error) {
	var none Out
	what := fmt.Sprintf("update %q of %q", u.Name(), id)
	payload, err := c.encode("input of "+what, in)
	if err != nil {
		return none, err
	}
	reply, err := c.AskUpdate(ctx, id, u.Name(), payload)
	switch {
	case err != nil:
		return none, err
	case reply.Refused:
		return none, fmt.Errorf("%s: %w: %w", what, ErrRefused, reprise.ErrorOf(c.config.codec, reply.Failure))
	case reply.Failure != nil:
		return none, fmt.Errorf("%s: %w", what, reprise.ErrorOf(c.config.codec, reply.Failure))
	}
	return reprise.DecodePayload[Out](c.config.codec, "reply to "+what, reply.Result)
}

// Reply is what an orchestration replied to an update.
type Reply struct {
	Result  history.Payload
	Failure *history.Failure // nil if it succeeded
	// Refused is set where its check refused the update: nothing was done.
	Refused bool
}

// AskUpdate asks for an update by its name. Errors: [ErrNotFound]; [ErrNoHandler] where
// the orchestration does not take updates of that name; [ErrEnded] where it ended before
// it replied, which is also [ErrNotTaken] where it ended without taking the update;
// [ErrFull]; those of all requests.
func (c *Client) AskUpdate(ctx context.Context, id history.InstanceID, name string, in history.Payload) (Reply, error) {
	what := c.changes(id, "update", "update %q of %q", name, id)
	what.info.Name, what.long = name, true
	req := &reprisev1.UpdateInstanceRequest{InstanceId: string(id), Name: name, Input: wire.FromPayload(in)}
	m, err := ask(ctx, c, what, reprisev1.NewOrchestrationServiceClient, reprisev1.OrchestrationServiceClient.UpdateInstance, req)
	if err != nil {
		return Reply{}, err
	}
	failure := wire.Failure(m.GetFailure())
	if failure != nil {
		switch failure.Type {
		case history.FailureNoHandler:
			return Reply{}, what.failed(&callError{failure.Message, ErrNoHandler})
		case history.FailureEnded:
			if m.GetRefused() {
				return Reply{}, what.failed(&callError{failure.Message, ErrNotTaken})
			}
			return Reply{}, what.failed(&callError{failure.Message, ErrEnded})
		}
	}
	return Reply{Result: wire.Payload(m.GetResult()), Failure: failure, Refused: m.GetRefused()}, nil
}
