package cluster

import (
	"context"

	"github.com/reprise-run/reprise/partition/leader"
)

// StartInstance starts an orchestration; it returns when the start is
// committed. Errors are those of [leader.Leader.Start], [ErrUnavailable] and
// the context's.
func (n *Node) StartInstance(ctx context.Context, req leader.StartRequest) (leader.StartAnswer, error) {
	panic("not written")
}

// Terminate ends an instance without running its code.
func (n *Node) Terminate(ctx context.Context, req leader.TerminateRequest) error {
	panic("not written")
}

// Status reads an instance. It is linearizable.
func (n *Node) Status(ctx context.Context, req leader.StatusRequest) (leader.Instance, error) {
	panic("not written")
}

// Wait returns when the instance is as the request wants it.
func (n *Node) Wait(ctx context.Context, req leader.WaitRequest) (leader.Instance, error) {
	panic("not written")
}

// History reads a page of an execution's history.
func (n *Node) History(ctx context.Context, req leader.HistoryRequest) (leader.HistoryPage, error) {
	panic("not written")
}
