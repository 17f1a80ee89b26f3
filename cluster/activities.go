package cluster

import (
	"context"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// CompleteActivity completes an activity from outside; it returns when that is
// committed. Errors: [leader.ErrStale] and those of all requests.
func (n *Node) CompleteActivity(ctx context.Context, req leader.CompleteRequest) error {
	_, err := invoke(ctx, n, completeRequest, req)
	return err
}

// HeartbeatActivity says that an attempt lives that somebody outside completes.
// Errors: as for [Node.CompleteActivity].
func (n *Node) HeartbeatActivity(ctx context.Context, req leader.HeartbeatRequest) error {
	_, err := invoke(ctx, n, heartbeatRequest, req)
	return err
}

var (
	completeRequest = request[leader.CompleteRequest, struct{}]{
		method:     "activity/complete",
		instance:   func(q leader.CompleteRequest) leader.InstanceRef { return tokenRef(q.Token) },
		repeatable: func(q leader.CompleteRequest) bool { return q.Identity.ID != "" },
		call: func(l *leader.Leader, ctx context.Context, q leader.CompleteRequest) (struct{}, error) {
			return struct{}{}, l.CompleteByToken(ctx, q)
		},
	}
	heartbeatRequest = request[leader.HeartbeatRequest, struct{}]{
		method:     "activity/heartbeat",
		instance:   func(q leader.HeartbeatRequest) leader.InstanceRef { return tokenRef(q.Token) },
		repeatable: func(leader.HeartbeatRequest) bool { return true },
		call: func(l *leader.Leader, ctx context.Context, q leader.HeartbeatRequest) (struct{}, error) {
			return struct{}{}, l.HeartbeatByToken(ctx, q)
		},
	}
)

func tokenRef(t history.AttemptToken) leader.InstanceRef {
	return leader.InstanceRef{Hub: t.Hub, ID: t.Instance}
}
