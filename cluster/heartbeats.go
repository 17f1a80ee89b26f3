package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// Heartbeats of attempts that run on this node, on their way to the leaders. Whether
// an attempt is silent for too long is seen where it runs; leaders save progress, and
// say what is not wanted any more.

const methodHeartbeats = peer.Method("activity/heartbeats")

// heartbeatEvery is how often a leader hears of an attempt, at most.
const heartbeatEvery = time.Second

// heart is what an attempt has told of itself. The worker's mu guards it.
type heart struct {
	progress history.Payload // the newest that the leader may not know; nil: none
	next     time.Time       // when the leader is told next, at the earliest
}

// heartbeatsMessage tells a leader of attempts that live.
type heartbeatsMessage struct {
	Partition uint32
	All       []leader.Heartbeat
}

// heartbeatsAnswer says which of them are not wanted any more.
type heartbeatsAnswer struct {
	Epoch    uint64 // of the leader who says so
	Unwanted []leader.AttemptID
}

// beat takes a heartbeat of an attempt.
func (w *worker) beat(a *attempt, progress history.Payload) {
	w.mu.Lock()
	if a.result == nil && !w.stopped {
		if progress != nil {
			a.heart.progress = progress
		}
		w.beating[a.task.Attempt] = a
	}
	w.mu.Unlock()
	select {
	case w.beats <- struct{}{}:
	default:
	}
}

// tellHeartbeats brings heartbeats to leaders until ctx ends.
func (n *Node) tellHeartbeats(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.worker.beats:
		case <-timer.C:
		}
		due, next := n.worker.dueHeartbeats(time.Now())
		for partition, all := range due {
			n.wg.Go(func() { n.sendHeartbeats(partition, all) })
		}
		timer.Reset(next)
	}
}

// dueHeartbeats takes what leaders are to be told now, one message a partition, and
// returns when there may be more.
func (w *worker) dueHeartbeats(now time.Time) (due map[uint32][]leader.Heartbeat, next time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	next = time.Hour
	due = make(map[uint32][]leader.Heartbeat)
	bytes := make(map[uint32]int)
	for id, a := range w.beating {
		p := w.partitions[id.Partition]
		switch {
		case p.telling: // its end wakes us
		case a.heart.next.After(now):
			next = min(next, a.heart.next.Sub(now))
		case len(due[id.Partition]) < resultBatch && bytes[id.Partition] < resultBatchBytes:
			due[id.Partition] = append(due[id.Partition], leader.Heartbeat{Attempt: id, Progress: a.heart.progress})
			bytes[id.Partition] += len(a.heart.progress)
			a.heart.next = now.Add(heartbeatEvery)
			a.heart.progress = nil
			delete(w.beating, id)
		default:
			next = 0 // the rest comes in the next message
		}
	}
	for partition := range due {
		w.partitions[partition].telling = true
	}
	return due, next
}

// sendHeartbeats tells a leader. What it did not save is told again, unless there is
// something newer.
func (n *Node) sendHeartbeats(partition uint32, all []leader.Heartbeat) {
	answer, err := n.askHeartbeats(partition, all)
	w := n.worker
	w.mu.Lock()
	p := w.partitions[partition]
	p.telling = false
	if err != nil {
		for _, h := range all {
			if a := w.attempts[h.Attempt]; a != nil && a.result == nil {
				if a.heart.progress == nil {
					a.heart.progress = h.Progress
				}
				w.beating[h.Attempt] = a
			}
		}
	}
	trusted := err == nil && answer.Epoch >= p.epoch
	w.mu.Unlock()
	if trusted {
		for _, id := range answer.Unwanted {
			w.cancelAttempt(id, "")
		}
	}
	select {
	case w.beats <- struct{}{}:
	default:
	}
}

func (n *Node) askHeartbeats(partition uint32, all []leader.Heartbeat) (answer heartbeatsAnswer, err error) {
	ctx, cancel := context.WithTimeout(n.ctx, resultPatience)
	defer cancel()
	if l, epoch := n.localLeader(partition); l != nil {
		unwanted, err := askLeader(ctx, l, all)
		return heartbeatsAnswer{epoch, unwanted}, err
	}
	n.worker.mu.Lock()
	owner := n.worker.partitions[partition].owner
	n.worker.mu.Unlock()
	to, known := n.leaderOf(partition)
	if !known || to == n.self {
		to = owner
	}
	if to == n.self {
		return answer, errNotHere
	}
	body, err := msgpack.Marshal(heartbeatsMessage{partition, all})
	if err != nil {
		return answer, fmt.Errorf("encode heartbeats: %w", err)
	}
	b, err := n.rpc.call(ctx, to, methodHeartbeats, body)
	var redirect *redirectError
	if errors.As(err, &redirect) {
		n.hint(partition, redirect.to)
	}
	if err != nil {
		return answer, err
	}
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return answer, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// askLeader hands heartbeats to a leader on this node and waits for its answer.
func askLeader(ctx context.Context, l *leader.Leader, all []leader.Heartbeat) ([]leader.AttemptID, error) {
	type said struct {
		unwanted []leader.AttemptID
		err      error
	}
	answered := make(chan said, 1)
	l.Heartbeats(all, func(unwanted []leader.AttemptID, err error) { answered <- said{unwanted, err} })
	select {
	case s := <-answered:
		return s.unwanted, s.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// handleHeartbeats takes heartbeats of another node.
func (n *Node) handleHeartbeats(ctx context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var message heartbeatsMessage
	if err := msgpack.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode heartbeats: %w", err)
	}
	l, epoch := n.localLeader(message.Partition)
	if l == nil {
		return nil, n.away(message.Partition)
	}
	unwanted, err := askLeader(ctx, l, message.All)
	if err != nil {
		return nil, err
	}
	return msgpack.Marshal(heartbeatsAnswer{epoch, unwanted})
}
