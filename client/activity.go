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
	payload, err := reprise.EncodePayload(c.config.codec, "result of an activity", result)
	if err != nil {
		return fmt.Errorf("complete an activity: %w: %w", ErrInvalid, err)
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
	payload, err := reprise.EncodePayload(c.config.codec, "progress of an activity", progress)
	if err != nil {
		return fmt.Errorf("heartbeat of an activity: %w: %w", ErrInvalid, err)
	}
	return c.HeartbeatActivity(ctx, token, payload)
}

// CompleteActivity is the function of that name with a payload as it is.
func (c *Client) CompleteActivity(ctx context.Context, token string, result history.Payload) error {
	req := &reprisev1.CompleteActivityRequest{Token: token, Result: wire.FromPayload(result)}
	return c.byToken(ctx, "complete", token, true, func(ctx context.Context, s reprisev1.ActivityServiceClient, opts ...grpc.CallOption) error {
		_, err := s.CompleteActivity(ctx, req, opts...)
		return err
	})
}

// FailActivity is the function of that name with what is recorded of the error.
func (c *Client) FailActivity(ctx context.Context, token string, failure *history.Failure) error {
	req := &reprisev1.FailActivityRequest{Token: token, Failure: wire.FromFailure(failure)}
	return c.byToken(ctx, "fail", token, true, func(ctx context.Context, s reprisev1.ActivityServiceClient, opts ...grpc.CallOption) error {
		_, err := s.FailActivity(ctx, req, opts...)
		return err
	})
}

// HeartbeatActivity is the function of that name with a payload as it is; nil leaves
// what was saved.
func (c *Client) HeartbeatActivity(ctx context.Context, token string, progress history.Payload) error {
	req := &reprisev1.HeartbeatActivityRequest{Token: token, Progress: wire.FromPayload(progress)}
	return c.byToken(ctx, "heartbeat of", token, false, func(ctx context.Context, s reprisev1.ActivityServiceClient, opts ...grpc.CallOption) error {
		_, err := s.HeartbeatActivity(ctx, req, opts...)
		return err
	})
}

// byToken calls for the attempt that a token names.
func (c *Client) byToken(ctx context.Context, what, token string, identity bool, try func(context.Context, reprisev1.ActivityServiceClient, ...grpc.CallOption) error) error {
	t, err := history.ParseAttemptToken(token)
	if err != nil {
		return fmt.Errorf("%s an activity: %w: %w", what, ErrInvalid, err)
	}
	call := call{what: fmt.Sprintf("%s activity %d of %q", what, t.TaskID, t.Instance), slot: history.SlotOf(t.Hub, t.Instance), identity: identity}
	return c.do(ctx, call, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		return try(ctx, reprisev1.NewActivityServiceClient(conn), opts...)
	})
}
