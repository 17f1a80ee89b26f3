package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

const methodOperations = peer.Method("entity/operations")

// operations runs operations of entities on this node or, where it does not bind the
// entity, on another one. It is the [leader.EntityExecutor] of all leaders here.
type operations struct{ node *Node }

var _ leader.EntityExecutor = (*operations)(nil)

// Operations implements [leader.EntityExecutor].
func (o *operations) Operations(ctx context.Context, req leader.EntityRequest) (history.Batch, error) {
	batch, err := o.node.code.Operations(ctx, req)
	if !errors.Is(err, leader.ErrUnbound) {
		return batch, err
	}
	for _, other := range o.node.nodesThatBindEntity(req.Name) {
		there, thereErr := o.remote(ctx, other, req)
		switch {
		case thereErr == nil:
			return there, nil
		case !errors.Is(thereErr, leader.ErrUnbound):
			err = thereErr // says more than that nobody binds the name
		}
	}
	return history.Batch{}, err
}

// operationsMessage is an EntityRequest.
type operationsMessage struct {
	Key        leader.ExecutionKey
	Name       string
	State      history.Payload
	Operations []byte
	Now        time.Time
	NextID     int32
	Crowded    []history.InstanceID `msgpack:",omitempty"`
}

// operationsAnswer is a Batch. The results are events: each operation completed or
// failed.
type operationsAnswer struct {
	Results []byte
	State   history.Payload
	Decided []byte
}

// remote runs operations on another node.
func (o *operations) remote(ctx context.Context, to peer.NodeID, req leader.EntityRequest) (history.Batch, error) {
	body, err := msgpack.Marshal(operationsMessage{
		Key: req.Key, Name: req.Name, State: req.State, Operations: history.EncodeEvents(req.Operations), Now: req.Now, NextID: req.NextID, Crowded: req.Crowded,
	})
	if err != nil {
		return history.Batch{}, fmt.Errorf("encode operations: %w", err)
	}
	b, err := o.node.rpc.call(ctx, to, methodOperations, body)
	if err != nil {
		return history.Batch{}, err
	}
	var answer operationsAnswer
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return history.Batch{}, fmt.Errorf("decode results of operations: %w", err)
	}
	return answer.batch()
}

func (n *Node) handleOperations(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var message operationsMessage
	if err := msgpack.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode operations: %w", err)
	}
	asked, err := history.DecodeEvents(message.Operations)
	if err != nil {
		return nil, fmt.Errorf("decode operations: %w", err)
	}
	batch, err := n.lendOperations(ctx, leader.EntityRequest{
		Key: message.Key, Name: message.Name, State: message.State, Operations: asked, Now: message.Now.UTC(), NextID: message.NextID, Crowded: message.Crowded,
	})
	if err != nil {
		return nil, err
	}
	return msgpack.Marshal(answerOf(batch))
}

// lendOperations runs operations for another node. It returns when ctx is done, also if
// the user's code does not yield.
func (n *Node) lendOperations(ctx context.Context, req leader.EntityRequest) (history.Batch, error) {
	type outcome struct {
		batch history.Batch
		err   error
	}
	came := make(chan outcome, 1)
	go func() {
		batch, err := n.code.Operations(ctx, req)
		came <- outcome{batch, err}
	}()
	select {
	case o := <-came:
		return o.batch, o.err
	case <-ctx.Done():
		return history.Batch{}, ctx.Err()
	}
}

func answerOf(b history.Batch) operationsAnswer {
	results := make([]history.Event, len(b.Results))
	for i, r := range b.Results {
		results[i] = history.Event{ID: history.NoID, Body: &history.EntityOperationCompleted{Result: r.Result}}
		if r.Failure != nil {
			results[i].Body = &history.EntityOperationFailed{Failure: r.Failure}
		}
	}
	return operationsAnswer{Results: history.EncodeEvents(results), State: b.State, Decided: history.EncodeEvents(b.Decided)}
}

func (a operationsAnswer) batch() (history.Batch, error) {
	results, err := history.DecodeEvents(a.Results)
	if err != nil {
		return history.Batch{}, fmt.Errorf("decode results of operations: %w", err)
	}
	decided, err := history.DecodeEvents(a.Decided)
	if err != nil {
		return history.Batch{}, fmt.Errorf("decode what operations sent: %w", err)
	}
	b := history.Batch{State: a.State, Decided: decided}
	for _, e := range results {
		switch r := e.Body.(type) {
		case *history.EntityOperationCompleted:
			b.Results = append(b.Results, history.OperationResult{Result: r.Result})
		case *history.EntityOperationFailed:
			b.Results = append(b.Results, history.OperationResult{Failure: r.Failure})
		default:
			return history.Batch{}, fmt.Errorf("%s is no result of an operation", history.Describe(e))
		}
	}
	return b, nil
}

// nodesThatBindEntity returns the other nodes that bind operations of an entity, by name.
func (n *Node) nodesThatBindEntity(name string) []peer.NodeID {
	return n.nodesWith(func(info nodeInfo) bool { return slices.Contains(info.Entities, name) })
}
