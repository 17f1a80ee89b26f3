package client

import (
	"context"
	"fmt"

	"google.golang.org/grpc"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// CompleteActivity gives an activity that somebody outside completes its result; it
// returns when that is committed. The token is that of [reprise.AttemptInfo.Token].
// Errors: [ErrStale]; those of all requests.
func CompleteActivity[T any](ctx context.Context, c *Client, token string, result T) error {
	payload, err := c.encode("result of an activity", result)
	if err != nil {
		return err
	}
	return c.CompleteActivity(ctx, token, payload)
}

// FailActivity fails the attempt that the token names, as if its function had
// returned the error: the activity's retry policy says what follows, unless the error
// is marked by [reprise.NonRetryable]. Errors: as for [CompleteActivity].
func FailActivity(ctx context.Context, c *Client, token string, failure error) error {
	if failure == nil {
		return fmt.Errorf("fail an activity: %w: no error is given", ErrInvalid)
	}
	return c.FailActivity(ctx, token, reprise.FailureOf(c.config.codec, failure))
}

// HeartbeatActivity says that an attempt lives that somebody outside completes, and
// saves its progress for the next attempt; see [reprise.Heartbeat]. It returns when
// that is committed. Errors: as for [CompleteActivity].
func HeartbeatActivity[T any](ctx context.Context, c *Client, token string, progress T) error {
	payload, err := c.encode("progress of an activity", progress)
	if err != nil {
		return err
	}
	return c.HeartbeatActivity(ctx, token, payload)
}

// CompleteActivity is the function of that name with a payload as it is.
func (c *Client) CompleteActivity(ctx context.Context, token string, result history.Payload) error {
	req := &reprisev1.CompleteActivityRequest{Token: token, Result: wire.FromPayload(result)}
	return byToken(ctx, c, "complete", token, true, reprisev1.ActivityServiceClient.CompleteActivity, req)
}

// FailActivity is the function of that name with what is recorded of the error.
func (c *Client) FailActivity(ctx context.Context, token string, failure *history.Failure) error {
	req := &reprisev1.FailActivityRequest{Token: token, Failure: wire.FromFailure(failure)}
	return byToken(ctx, c, "fail", token, true, reprisev1.ActivityServiceClient.FailActivity, req)
}

// HeartbeatActivity is the function of that name with a payload as it is; nil leaves
// what was saved.
func (c *Client) HeartbeatActivity(ctx context.Context, token string, progress history.Payload) error {
	req := &reprisev1.HeartbeatActivityRequest{Token: token, Progress: wire.FromPayload(progress)}
	return byToken(ctx, c, "heartbeat", token, false, reprisev1.ActivityServiceClient.HeartbeatActivity, req)
}

// byToken calls for the attempt that a token names.
func byToken[Request, Answer any](
	ctx context.Context, c *Client, operation, token string, identity bool,
	method func(reprisev1.ActivityServiceClient, context.Context, *Request, ...grpc.CallOption) (*Answer, error), req *Request,
) error {
	t, err := history.ParseAttemptToken(token)
	if err != nil {
		return fmt.Errorf("%s an activity: %w: %w", operation, ErrInvalid, err)
	}
	what := c.reads(t.Instance, operation, "%s activity %d of %q", operation, t.TaskID, t.Instance)
	what.identity, what.slot, what.info.TaskHub = identity, history.SlotOf(t.Hub, t.Instance), t.Hub
	_, err = ask(ctx, c, what, reprisev1.NewActivityServiceClient, method, req)
	return err
}
