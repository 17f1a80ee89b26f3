package cluster

import (
	"context"

	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// StartInstance starts an orchestration; it returns when the start is
// committed. Errors are those of [leader.Leader.Start], [ErrUnavailable] and
// the context's. A request with an identity is repeated until ctx is done.
func (n *Node) StartInstance(ctx context.Context, req leader.StartRequest) (leader.StartAnswer, error) {
	return invoke(ctx, n, startRequest, req)
}

// Execute starts an orchestration and waits for its end, both at the leader. Errors are
// those of [leader.Leader.Execute], [ErrUnavailable] and the context's: then the start
// may be committed. A request with an identity is repeated until ctx is done.
func (n *Node) Execute(ctx context.Context, req leader.StartRequest) (leader.Instance, error) {
	return invoke(ctx, n, executeRequest, req)
}

// Terminate ends an instance without running its code.
func (n *Node) Terminate(ctx context.Context, req leader.TerminateRequest) error {
	_, err := invoke(ctx, n, terminateRequest, req)
	return err
}

// Raise raises an external event for an instance; it returns when the event is
// committed.
func (n *Node) Raise(ctx context.Context, req leader.RaiseRequest) error {
	_, err := invoke(ctx, n, raiseRequest, req)
	return err
}

// Status reads an instance. It is linearizable.
func (n *Node) Status(ctx context.Context, req leader.StatusRequest) (leader.Instance, error) {
	return invoke(ctx, n, statusRequest, req)
}

// waitPatience is how long a forwarded wait stays at another node before it is
// asked again: what bounds the waiters of callers that vanished.
const waitPatience = time.Minute

// Wait returns when the instance is as the request wants it.
func (n *Node) Wait(ctx context.Context, req leader.WaitRequest) (leader.Instance, error) {
	return await(ctx, n, waitRequest, req)
}

// await brings a request that waits to the leader, whoever that is, until it is answered.
func await[Q, A any](ctx context.Context, n *Node, kind request[Q, A], q Q) (A, error) {
	for {
		once, cancel := context.WithTimeout(ctx, waitPatience)
		answer, err := invoke(once, n, kind, q)
		over := once.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !over {
			return answer, err
		}
	}
}

// History reads a page of an execution's history. It is linearizable.
func (n *Node) History(ctx context.Context, req leader.HistoryRequest) (leader.HistoryPage, error) {
	return invoke(ctx, n, historyRequest, req)
}

// request is a kind of request to the leader of an instance's partition.
type request[Q, A any] struct {
	method     peer.Method
	instance   func(Q) leader.InstanceRef
	repeatable func(Q) bool
	call       func(*leader.Leader, context.Context, Q) (A, error)
	encode     func(A) ([]byte, error)
	decode     func([]byte) (A, error)
}

var (
	startRequest = request[leader.StartRequest, leader.StartAnswer]{
		method:     "instance/start",
		instance:   func(q leader.StartRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(q leader.StartRequest) bool { return q.Identity.ID != "" },
		call:       (*leader.Leader).Start,
	}
	executeRequest = request[leader.StartRequest, leader.Instance]{
		method:     "instance/execute",
		instance:   startRequest.instance,
		repeatable: startRequest.repeatable,
		call:       (*leader.Leader).Execute,
	}
	terminateRequest = request[leader.TerminateRequest, struct{}]{
		method:     "instance/terminate",
		instance:   func(q leader.TerminateRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(q leader.TerminateRequest) bool { return q.Identity.ID != "" },
		call: func(l *leader.Leader, ctx context.Context, q leader.TerminateRequest) (struct{}, error) {
			return struct{}{}, l.Terminate(ctx, q)
		},
	}
	raiseRequest = request[leader.RaiseRequest, struct{}]{
		method:     "instance/raise",
		instance:   func(q leader.RaiseRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(q leader.RaiseRequest) bool { return q.Identity.ID != "" },
		call: func(l *leader.Leader, ctx context.Context, q leader.RaiseRequest) (struct{}, error) {
			return struct{}{}, l.Raise(ctx, q)
		},
	}
	statusRequest = request[leader.StatusRequest, leader.Instance]{
		method:     "instance/status",
		instance:   func(q leader.StatusRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(leader.StatusRequest) bool { return true },
		call:       (*leader.Leader).Status,
	}
	waitRequest = request[leader.WaitRequest, leader.Instance]{
		method:     "instance/wait",
		instance:   func(q leader.WaitRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(leader.WaitRequest) bool { return true },
		call:       (*leader.Leader).Wait,
	}
	historyRequest = request[leader.HistoryRequest, leader.HistoryPage]{
		method:     "instance/history",
		instance:   func(q leader.HistoryRequest) leader.InstanceRef { return q.Instance },
		repeatable: func(leader.HistoryRequest) bool { return true },
		call:       (*leader.Leader).History,
		encode:     encodeHistoryPage,
		decode:     decodeHistoryPage,
	}
)

// invoke brings a request to the leader.
func invoke[Q, A any](ctx context.Context, n *Node, kind request[Q, A], q Q) (A, error) {
	var answer A
	ref := kind.instance(q)
	var body []byte
	err := n.route(ctx, func() (uint32, bool) { return n.partitionOf(ref) }, kind.repeatable(q),
		func(ctx context.Context, l *leader.Leader) (err error) {
			answer, err = kind.call(l, ctx, q)
			return err
		},
		func(ctx context.Context, to peer.NodeID) (err error) {
			if body == nil {
				if body, err = msgpack.Marshal(q); err != nil {
					return fmt.Errorf("encode request: %w", err)
				}
			}
			b, err := n.rpc.call(ctx, to, kind.method, body)
			if err != nil {
				return err
			}
			answer, err = kind.decodeAnswer(b)
			return err
		})
	return answer, err
}

// serve answers forwarded requests of a kind. It never forwards again.
func serve[Q, A any](n *Node, kind request[Q, A]) {
	n.rpc.handle(kind.method, func(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
		var q Q
		if err := msgpack.Unmarshal(body, &q); err != nil {
			return nil, fmt.Errorf("decode request: %w", err)
		}
		p, ok := n.partitionOf(kind.instance(q))
		if !ok {
			return nil, errNotReady
		}
		l, _ := n.localLeader(p)
		if l == nil {
			return nil, n.away(p)
		}
		answer, err := kind.call(l, ctx, q)
		if err != nil {
			return nil, err
		}
		if kind.encode != nil {
			return kind.encode(answer)
		}
		return msgpack.Marshal(answer)
	})
}

func (kind request[Q, A]) decodeAnswer(b []byte) (A, error) {
	if kind.decode != nil {
		return kind.decode(b)
	}
	var answer A
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return answer, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// sentHistoryPage is a HistoryPage with its events in stored form.
type sentHistoryPage struct {
	Execution   history.ExecutionID
	Events      []byte
	NextEpisode int64
}

func encodeHistoryPage(p leader.HistoryPage) ([]byte, error) {
	return msgpack.Marshal(sentHistoryPage{p.Execution, history.EncodeEvents(p.Events), p.NextEpisode})
}

func decodeHistoryPage(b []byte) (leader.HistoryPage, error) {
	var sent sentHistoryPage
	if err := msgpack.Unmarshal(b, &sent); err != nil {
		return leader.HistoryPage{}, fmt.Errorf("decode history: %w", err)
	}
	events, err := history.DecodeEvents(sent.Events)
	if err != nil {
		return leader.HistoryPage{}, fmt.Errorf("decode history: %w", err)
	}
	return leader.HistoryPage{Execution: sent.Execution, Events: events, NextEpisode: sent.NextEpisode}, nil
}

func slotOf(ref leader.InstanceRef) history.Slot { return history.SlotOf(ref.Hub, ref.ID) }
