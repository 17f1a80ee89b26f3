package server

import (
	"context"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/partition/leader"
)

// Backend answers requests, wherever in the cluster the instance lives.
// *cluster.Node implements it. It is safe for concurrent use. Errors are those of
// partition/leader, [cluster.ErrUnavailable] and the context's.
type Backend interface {
	Started
	// Terminate ends an instance; one that has ended stays as it is.
	Terminate(ctx context.Context, req leader.TerminateRequest) error
	// Raise returns when the event is committed; an instance that has ended drops it.
	Raise(ctx context.Context, req leader.RaiseRequest) error
	// Cancel returns when the request to end is committed; an instance that has ended
	// stays as it is.
	Cancel(ctx context.Context, req leader.CancelRequest) error
	// CompleteActivity returns when the outcome is committed, or the next attempt is.
	CompleteActivity(ctx context.Context, req leader.CompleteRequest) error
	// HeartbeatActivity returns when the progress is committed.
	HeartbeatActivity(ctx context.Context, req leader.HeartbeatRequest) error
	// Status is a linearizable read.
	Status(ctx context.Context, req leader.StatusRequest) (leader.Instance, error)
	// Wait returns when the instance is as the request wants it. When ctx is done,
	// the waiter is dropped.
	Wait(ctx context.Context, req leader.WaitRequest) (leader.Instance, error)
	// History reads a page of a history.
	History(ctx context.Context, req leader.HistoryRequest) (leader.HistoryPage, error)
	Asked
	// Describe tells what the node knows about the cluster.
	Describe(ctx context.Context) (cluster.Description, error)

	EntityBackend
}

// Started begins orchestrations; see [Backend].
type Started interface {
	// StartInstance returns when the start is committed.
	StartInstance(ctx context.Context, req leader.StartRequest) (leader.StartAnswer, error)
	// Execute starts an instance and returns when it has ended. When ctx is done, the
	// waiter is dropped, and the start may be committed.
	Execute(ctx context.Context, req leader.StartRequest) (leader.Instance, error)
}

var _ Backend = (*cluster.Node)(nil)
