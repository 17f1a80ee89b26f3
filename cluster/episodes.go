package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

const methodEpisode = peer.Method("orchestration/episode")

// episodes runs episodes on this node or, where it does not bind the name or its
// code does not fit the history, on another one. It is the [leader.Executor] of
// all leaders here.
type episodes struct{ node *Node }

var _ leader.Executor = (*episodes)(nil)

// Episode implements [leader.Executor].
func (e *episodes) Episode(ctx context.Context, req leader.EpisodeRequest) (history.Episode, error) {
	episode, err := e.node.code.Episode(ctx, req)
	var unfit *history.NondeterminismError
	if err == nil || !errors.Is(err, leader.ErrUnbound) && !errors.As(err, &unfit) {
		return episode, err
	}
	for _, other := range e.node.nodesThatBind(req.Name) {
		there, thereErr := e.remote(ctx, other, req)
		switch {
		case thereErr == nil:
			return there, nil
		case errors.As(thereErr, &unfit), errors.Is(thereErr, peer.ErrTooLong), !errors.Is(thereErr, leader.ErrUnbound):
			err = thereErr // says more than that nobody binds the name
		}
	}
	return history.Episode{}, err
}

// Forget implements [leader.Executor]. Other nodes keep nothing.
func (e *episodes) Forget(key leader.ExecutionKey) { e.node.code.Forget(key) }

// ForgetReign implements [leader.Executor].
func (e *episodes) ForgetReign(partition uint32, epoch uint64) {
	e.node.code.ForgetReign(partition, epoch)
}

// episodeMessage is an EpisodeRequest with all that was recorded.
type episodeMessage struct {
	Key      leader.ExecutionKey
	Name     string
	Version  string
	Episodes int64
	Past     []byte
	Arrived  []byte
	Fence    leader.Fence
}

// episodeAnswer is an Episode in encoded form, or why the code does not fit, or how
// many bytes it has if it fits into no message.
type episodeAnswer struct {
	Episode []byte
	Unfit   *history.NondeterminismError
	TooLong int
}

// encodeEpisode makes an answer of an episode.
func encodeEpisode(episode history.Episode) ([]byte, error) {
	b, err := msgpack.Marshal(episodeAnswer{Episode: history.EncodeEpisode(episode)})
	if err == nil && len(b) > peer.MaxMessageBytes {
		return msgpack.Marshal(episodeAnswer{TooLong: len(b)})
	}
	return b, err
}

// tooLongToLend says that an instance has to wait until a node that binds its code leads
// it, because what goes there, or comes back, is more than a message takes.
func tooLongToLend(what string, bytes int, node peer.NodeID, name string) error {
	return fmt.Errorf("%w where its history is; node %s binds %q, but %s: %w: %d bytes, at most %d are allowed",
		leader.ErrUnbound, node, name, what, peer.ErrTooLong, bytes, peer.MaxMessageBytes)
}

// remote runs an episode on another node, which rebuilds the execution from its
// whole history and keeps nothing.
func (e *episodes) remote(ctx context.Context, to peer.NodeID, req leader.EpisodeRequest) (history.Episode, error) {
	past, err := req.History(ctx)
	if err != nil {
		return history.Episode{}, fmt.Errorf("read history: %w", err)
	}
	body, err := msgpack.Marshal(episodeMessage{
		Key: req.Key, Name: req.Name, Version: req.Version, Episodes: req.Episodes,
		Past: history.EncodeEvents(past), Arrived: history.EncodeEvents(req.Arrived), Fence: req.Fence,
	})
	if err != nil {
		return history.Episode{}, fmt.Errorf("encode episode: %w", err)
	}
	if len(body) > peer.MaxMessageBytes {
		return history.Episode{}, tooLongToLend("its history cannot be sent there", len(body), to, req.Name)
	}
	b, err := e.node.rpc.call(ctx, to, methodEpisode, body)
	if err != nil {
		return history.Episode{}, err
	}
	return decodeEpisode(b, to, req.Name)
}

// decodeEpisode reads what a node answered that was lent an instance of a name.
func decodeEpisode(b []byte, from peer.NodeID, name string) (history.Episode, error) {
	var answer episodeAnswer
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return history.Episode{}, fmt.Errorf("decode episode: %w", err)
	}
	switch {
	case answer.Unfit != nil:
		return history.Episode{}, answer.Unfit
	case answer.TooLong > 0:
		return history.Episode{}, tooLongToLend("what it decides cannot be sent back", answer.TooLong, from, name)
	}
	return history.DecodeEpisode(answer.Episode)
}

func (n *Node) handleEpisode(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var message episodeMessage
	if err := msgpack.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode episode: %w", err)
	}
	past, err := history.DecodeEvents(message.Past)
	if err != nil {
		return nil, fmt.Errorf("decode history: %w", err)
	}
	arrived, err := history.DecodeEvents(message.Arrived)
	if err != nil {
		return nil, fmt.Errorf("decode arrived events: %w", err)
	}
	episode, err := n.lend(ctx, leader.EpisodeRequest{
		Key: message.Key, Name: message.Name, Version: message.Version, Episodes: message.Episodes, Arrived: arrived, Fence: message.Fence,
		History: func(context.Context) ([]history.Event, error) { return past, nil },
	})
	var unfit *history.NondeterminismError
	switch {
	case errors.As(err, &unfit):
		return msgpack.Marshal(episodeAnswer{Unfit: unfit})
	case err != nil:
		return nil, err
	}
	return encodeEpisode(episode)
}

// lend runs an episode for another node and keeps nothing of it. It returns when
// ctx is done, also if the user's code does not yield.
func (n *Node) lend(ctx context.Context, req leader.EpisodeRequest) (history.Episode, error) {
	type outcome struct {
		episode history.Episode
		err     error
	}
	came := make(chan outcome, 1)
	go func() {
		episode, err := n.code.Episode(ctx, req)
		n.code.Forget(req.Key)
		came <- outcome{episode, err}
	}()
	select {
	case o := <-came:
		return o.episode, o.err
	case <-ctx.Done():
		return history.Episode{}, ctx.Err()
	}
}

// nodesThatBind returns the other nodes that bind an orchestration's name, by
// name.
func (n *Node) nodesThatBind(name string) []peer.NodeID {
	return n.nodesWith(func(info nodeInfo) bool { return slices.Contains(info.Orchestrations, name) })
}

// nodesWith returns the other nodes that tell such a thing of themselves, by name.
func (n *Node) nodesWith(wanted func(nodeInfo) bool) []peer.NodeID {
	n.mu.Lock()
	defer n.mu.Unlock()
	var nodes []peer.NodeID
	for node, k := range n.known {
		if k.alive && node != n.self && wanted(k.info) {
			nodes = append(nodes, node)
		}
	}
	slices.Sort(nodes)
	return nodes
}
