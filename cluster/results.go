package cluster

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

const (
	methodResults = peer.Method("activity/results")
	// resultBatch and resultBatchBytes bound one message with results.
	resultBatch      = 256
	resultBatchBytes = 1 << 20
	// resultMessages is how many messages with results of one partition may be
	// under way.
	resultMessages = 8
	// resultPatience is how long a leader may take to record a message's results.
	resultPatience = 10 * time.Second
	// resultPause is how long results wait after nobody took them.
	resultPause = 100 * time.Millisecond
)

// resultsMessage brings results to a leader.
type resultsMessage struct {
	Partition uint32
	Results   []leader.ActivityResult
	Others    int // see runAnswer
}

// resultsAnswer says for each result what became of it.
type resultsAnswer struct {
	Epoch uint64 // of the leader who says so
	Codes []Code
}

// deliver sends the results of a partition that wait to its leader.
func (n *Node) deliver(partition uint32) {
	w := n.worker
	for {
		w.mu.Lock()
		p := w.partitions[partition]
		if p == nil || len(p.waiting) == 0 || p.sending >= resultMessages || p.resend || w.stopped {
			w.mu.Unlock()
			return
		}
		batch := takeBatch(p)
		owner := p.owner
		p.sending++
		w.mu.Unlock()
		if l, epoch := n.localLeader(partition); l != nil {
			n.complete(l, resultsOf(batch), func(codes []Code) { n.delivered(partition, batch, epoch, codes) })
			continue
		}
		n.wg.Go(func() {
			answer, err := n.sendResults(partition, owner, batch)
			if err != nil {
				answer = resultsAnswer{}
			}
			n.delivered(partition, batch, answer.Epoch, answer.Codes)
		})
	}
}

// takeBatch takes results from those that wait.
func takeBatch(p *workPartition) []*attempt {
	bytes, count := 0, 0
	for count < len(p.waiting) && count < resultBatch && bytes < resultBatchBytes {
		result := p.waiting[count].result
		bytes += len(result.Result) + result.Failure.Bytes() + len(result.Progress)
		count++
	}
	batch := p.waiting[:count:count]
	p.waiting = p.waiting[count:]
	if len(p.waiting) == 0 {
		p.waiting = nil
	}
	return batch
}

// sendResults sends results to the partition's leader: who asked for them last,
// or who is said to lead.
func (n *Node) sendResults(partition uint32, owner peer.NodeID, batch []*attempt) (resultsAnswer, error) {
	to, known := n.leaderOf(partition)
	if !known || to == n.self {
		to = owner
	}
	if to == n.self {
		return resultsAnswer{}, errNotHere
	}
	message := resultsMessage{Partition: partition, Results: resultsOf(batch), Others: n.worker.othersLoad(to)}
	body, err := msgpack.Marshal(message)
	if err != nil {
		return resultsAnswer{}, fmt.Errorf("encode results: %w", err)
	}
	ctx, cancel := context.WithTimeout(n.ctx, resultPatience)
	defer cancel()
	b, err := n.rpc.call(ctx, to, methodResults, body)
	var redirect *redirectError
	if errors.As(err, &redirect) {
		n.hint(partition, redirect.to)
	}
	if err != nil {
		return resultsAnswer{}, err
	}
	var answer resultsAnswer
	if err := msgpack.Unmarshal(b, &answer); err != nil {
		return resultsAnswer{}, fmt.Errorf("decode answer: %w", err)
	}
	return answer, nil
}

// delivered forgets the results that were recorded or are not wanted, and keeps
// the others for another try.
func (n *Node) delivered(partition uint32, batch []*attempt, epoch uint64, codes []Code) {
	w := n.worker
	stale := CodeOf(leader.ErrStale)
	again := 0
	w.mu.Lock()
	p := w.partitions[partition]
	p.sending--
	for i, a := range batch {
		switch {
		case len(codes) == len(batch) && codes[i] == CodeOK:
			delete(w.attempts, a.task.Attempt)
		case len(codes) == len(batch) && codes[i] == stale && epoch >= p.epoch:
			// What a deposed leader calls stale may be wanted by the next one.
			delete(w.attempts, a.task.Attempt)
		default:
			p.waiting = append(p.waiting, a)
			again++
		}
	}
	pause := again > 0 && !p.resend
	if pause {
		p.resend = true
	}
	w.mu.Unlock()
	w.idle.fire()
	if pause {
		n.wg.Go(func() {
			timer := time.NewTimer(resultPause)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-n.ctx.Done():
				return
			}
			w.mu.Lock()
			p.resend = false
			w.mu.Unlock()
			n.deliver(partition)
		})
		return
	}
	if again == 0 {
		n.deliver(partition)
	}
}

func resultsOf(batch []*attempt) []leader.ActivityResult {
	results := make([]leader.ActivityResult, len(batch))
	for i, a := range batch {
		results[i] = *a.result
	}
	return results
}

// complete hands results to a leader on this node. done is called once, when the
// leader has said to each what became of it.
func (n *Node) complete(l *leader.Leader, results []leader.ActivityResult, done func([]Code)) {
	var mu sync.Mutex
	codes, left := make([]Code, len(results)), len(results)
	for i, r := range results {
		n.dispatcher.finished(r.Attempt)
		l.Complete(r, func(err error) {
			if err == nil || errors.Is(err, leader.ErrStale) {
				n.dispatcher.recorded(r.Attempt)
			}
			mu.Lock()
			codes[i] = CodeOf(err)
			left--
			last := left == 0
			mu.Unlock()
			if last {
				done(codes)
			}
		})
	}
}

// handleResults takes results of another node.
func (n *Node) handleResults(ctx context.Context, from peer.NodeID, body []byte) ([]byte, error) {
	var message resultsMessage
	if err := msgpack.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("decode results: %w", err)
	}
	n.dispatcher.heard(from, message.Others)
	l, epoch := n.localLeader(message.Partition)
	if l == nil {
		return nil, n.away(message.Partition)
	}
	answered := make(chan []Code, 1)
	n.complete(l, message.Results, func(codes []Code) { answered <- codes })
	select {
	case codes := <-answered:
		return msgpack.Marshal(resultsAnswer{Epoch: epoch, Codes: codes})
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
