package cluster

import (
	"context"
	"errors"
	"fmt"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// Query asks an orchestration; it changes nothing. It is linearizable.
func (n *Node) Query(ctx context.Context, req leader.QueryRequest) (leader.QueryAnswer, error) {
	return invoke(ctx, n, queryRequest, req)
}

var queryRequest = request[leader.QueryRequest, leader.QueryAnswer]{
	method:     "instance/query",
	instance:   func(q leader.QueryRequest) leader.InstanceRef { return q.Instance },
	repeatable: func(leader.QueryRequest) bool { return true },
	call:       (*leader.Leader).Query,
}

const methodQuery = peer.Method("orchestration/query")

// Query implements [leader.Executor]: like an episode, a query is asked on another node
// where this one does not bind the name, or its code does not fit.
func (e *episodes) Query(ctx context.Context, q leader.Inquiry) (leader.QueryAnswer, error) {
	answer, err := e.node.code.Query(ctx, q)
	var unfit *history.NondeterminismError
	if err == nil || !errors.Is(err, leader.ErrUnbound) && !errors.As(err, &unfit) {
		return answer, err
	}
	for _, other := range e.node.nodesThatBind(q.Execution.Name) {
		there, thereErr := e.remoteQuery(ctx, other, q)
		switch {
		case thereErr == nil:
			return there, nil
		case errors.Is(thereErr, leader.ErrNoHandler), !errors.Is(thereErr, leader.ErrUnbound):
			err = thereErr // says more than that nobody binds the name
		}
	}
	return leader.QueryAnswer{}, err
}

// inquiryMessage is an Inquiry with all that was recorded.
type inquiryMessage struct {
	Execution episodeMessage // without what arrived
	Query     string
	Input     history.Payload
}

// remoteQuery asks on another node, which rebuilds the execution from its whole history
// and keeps nothing.
func (e *episodes) remoteQuery(ctx context.Context, to peer.NodeID, q leader.Inquiry) (leader.QueryAnswer, error) {
	var answer leader.QueryAnswer
	past, err := q.Execution.History(ctx)
	if err != nil {
		return answer, fmt.Errorf("read history: %w", err)
	}
	x := q.Execution
	body, err := msgpack.Marshal(inquiryMessage{
		Execution: episodeMessage{Key: x.Key, Name: x.Name, Version: x.Version, Episodes: x.Episodes, Past: history.EncodeEvents(past)},
		Query:     q.Query, Input: q.Input,
	})
	if err != nil {
		return answer, fmt.Errorf("encode query: %w", err)
	}
	b, err := e.node.rpc.call(ctx, to, methodQuery, body)
	if err != nil {
		return answer, err
	}
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return answer, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

func (n *Node) handleQuery(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var message inquiryMessage
	if err := msgpack.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode query: %w", err)
	}
	past, err := history.DecodeEvents(message.Execution.Past)
	if err != nil {
		return nil, fmt.Errorf("decode history: %w", err)
	}
	x := message.Execution
	answer, err := n.code.Query(ctx, leader.Inquiry{Query: message.Query, Input: message.Input, Execution: leader.EpisodeRequest{
		Key: x.Key, Name: x.Name, Version: x.Version, Episodes: x.Episodes,
		History: func(context.Context) ([]history.Event, error) { return past, nil },
	}})
	n.code.Forget(x.Key)
	var unfit *history.NondeterminismError
	if errors.As(err, &unfit) {
		err = fmt.Errorf("%w: its code on node %s does not fit its history: %w", leader.ErrNoHandler, n.self, err)
	}
	if err != nil {
		return nil, err
	}
	return msgpack.Marshal(answer)
}
