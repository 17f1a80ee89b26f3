package cluster

import (
	"context"

	"github.com/reprise-run/reprise/partition/leader"
)

// Cancel asks the orchestrator of an instance to end; it returns when the request is
// committed.
func (n *Node) Cancel(ctx context.Context, req leader.CancelRequest) error {
	_, err := invoke(ctx, n, cancelRequest, req)
	return err
}

var cancelRequest = request[leader.CancelRequest, struct{}]{
	method:     "instance/cancel",
	instance:   func(q leader.CancelRequest) leader.InstanceRef { return q.Instance },
	repeatable: func(q leader.CancelRequest) bool { return q.Identity.ID != "" },
	call: func(l *leader.Leader, ctx context.Context, q leader.CancelRequest) (struct{}, error) {
		return struct{}{}, l.Cancel(ctx, q)
	},
}
