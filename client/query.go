package client

import (
	"context"
	"fmt"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Query asks an orchestration, which answers from its newest committed state and is not
// changed; also after its end, where its history is not too long and a node binds its
// code. An error that the handler returns is the error: errors.Is and errors.As see
// it; a panic is a *reprise.PanicError. Other errors: see [Client.AskQuery].
func Query[In, Out any](ctx context.Context, c *Client, id history.InstanceID, q reprise.Query[In, Out], in In) (Out, error) {
	var none Out
	what := fmt.Sprintf("query %q of %q", q.Name(), id)
	payload, err := c.encode("input of "+what, in)
	if err != nil {
		return none, err
	}
	result, failure, err := c.AskQuery(ctx, id, q.Name(), payload)
	switch {
	case err != nil:
		return none, err
	case failure != nil:
		return none, fmt.Errorf("%s: %w", what, reprise.ErrorOf(c.config.codec, failure))
	}
	return reprise.DecodePayload[Out](c.config.codec, "answer to "+what, result)
}

// AskQuery asks an orchestration by the name of the query; the failure is the
// handler's. Errors: [ErrNotFound]; [ErrNoHandler] where it does not handle the name,
// or has not begun; [ErrUnbound]; those of all requests.
func (c *Client) AskQuery(ctx context.Context, id history.InstanceID, name string, in history.Payload) (history.Payload, *history.Failure, error) {
	req := &reprisev1.QueryInstanceRequest{InstanceId: string(id), Name: name, Input: wire.FromPayload(in)}
	what := c.reads(id, "query", "query %q of %q", name, id)
	what.info.Name = name
	what.long = true // the code may have to be replayed first, and an episode that runs is waited for
	m, err := ask(ctx, c, what, reprisev1.NewOrchestrationServiceClient, reprisev1.OrchestrationServiceClient.QueryInstance, req)
	if err != nil {
		return nil, nil, err
	}
	return wire.Payload(m.GetResult()), wire.Failure(m.GetFailure()), nil
}
