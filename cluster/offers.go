package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// The requests about activities between nodes; results are in results.go.
const (
	methodRun      = peer.Method("activity/run")
	methodStopWork = peer.Method("activity/cancel")
	methodSurvey   = peer.Method("activity/survey")
	methodMissing  = peer.Method("activity/missing")
	methodRoom     = peer.Method("activity/room")
)

const (
	// runBatch and runBatchBytes bound one message with attempts.
	runBatch      = 256
	runBatchBytes = 1 << 20
	// surveyPatience is how long recovered activities wait for nodes that neither
	// answer nor are known to be gone.
	surveyPatience = 5 * time.Second
	// lostPatience is how long a node that is said to live may be out of reach
	// until what it runs is given up.
	lostPatience = 5 * time.Second
	workRetry    = 50 * time.Millisecond
	auditPause   = 100 * time.Millisecond
)

// runAnswer says what became of attempts, and how busy the node is.
type runAnswer struct {
	Verdicts []verdict
	// Others is how many attempts run there for leaders on other nodes than the
	// one that is answered.
	Others int
}

type surveyRequest struct {
	Partition uint32
	Epoch     uint64
}

type surveyAnswer struct {
	Attempts []leader.AttemptID
	// Over is true if the node has seen a higher epoch.
	Over bool
}

// send brings what is queued for a node to it, one message at a time, and ends
// when there is no more.
func (d *dispatcher) send(t *target) {
	for {
		d.mu.Lock()
		count, bytes := 0, 0
		for count < len(t.queue) && count < runBatch && bytes < runBatchBytes {
			bytes += len(t.queue[count].Input)
			count++
		}
		tasks := t.queue[:count:count]
		t.queue = t.queue[count:]
		if count == 0 {
			t.queue, t.sending = nil, false
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		answer, err := d.offer(t, tasks)
		if err != nil {
			answer.Verdicts = make([]verdict, len(tasks)) // none of them
		}
		d.settle(t, tasks, answer, err == nil)
	}
}

// offer asks a node to run attempts. While the node is said to live, it asks
// again: a second question for the same attempt does no harm, a second node
// would run it twice.
func (d *dispatcher) offer(t *target, tasks []leader.ActivityTask) (answer runAnswer, err error) {
	body, err := msgpack.Marshal(tasks)
	if err != nil {
		return answer, fmt.Errorf("encode attempts: %w", err)
	}
	err = d.node.insist(t.name, func(ctx context.Context) error {
		b, err := d.node.rpc.call(ctx, t.name, methodRun, body)
		if err != nil {
			return err
		}
		if err := msgpack.Unmarshal(b, &answer); err != nil || len(answer.Verdicts) != len(tasks) {
			return fmt.Errorf("decode answer of %s: %d verdicts for %d attempts: %w", t.name, len(answer.Verdicts), len(tasks), err)
		}
		return nil
	})
	return answer, err
}

// settle notes what became of attempts that were offered.
func (d *dispatcher) settle(t *target, tasks []leader.ActivityTask, answer runAnswer, heard bool) {
	var lost, refused []leader.AttemptID
	var unwanted []stopWork
	d.mu.Lock()
	if heard {
		t.others = answer.Others
	}
	for i, task := range tasks {
		a := d.attempts[task.Attempt]
		switch v := answer.Verdicts[i]; {
		case a == nil || a.to != t.name:
			// The result was faster, or the reign ended.
		case v == verdictTaken:
			a.taken = true
			if a.unwanted != nil { // what told the node so may have been faster
				unwanted = append(unwanted, stopWork{task.Attempt, *a.unwanted})
			}
		case v == verdictStale:
			d.drop(task.Attempt)
		default:
			t.refused(v, task.Name)
			d.drop(task.Attempt)
			if heard && v != verdictSpent {
				refused = append(refused, task.Attempt)
			} else {
				lost = append(lost, task.Attempt)
			}
		}
	}
	d.mu.Unlock()
	for _, stop := range unwanted {
		d.stop(t.name, stop.Attempt, stop.Reason)
	}
	d.tellLeaders(lost, (*leader.Leader).AttemptsLost)
	d.tellLeaders(refused, (*leader.Leader).AttemptsRefused)
}

// insist repeats a call to a node until it succeeds, the process is gone by what
// membership or the network says, or it was out of reach for too long.
func (n *Node) insist(to peer.NodeID, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(n.ctx, lostPatience)
	defer cancel()
	for {
		err := call(ctx)
		if err == nil || !passing(err) {
			n.answers(to)
			return err
		}
		if n.gone(to) {
			return err
		}
		timer := time.NewTimer(workRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// audit asks a node whose connection was lost, or that has a new process, which
// attempts it still has; the others are lost. One audit of a node runs at a
// time; a loss that is told meanwhile makes it run once more.
func (d *dispatcher) audit(node peer.NodeID) {
	if node == d.node.self {
		return
	}
	d.mu.Lock()
	if _, runs := d.audits[node]; runs {
		d.audits[node] = true
		d.mu.Unlock()
		return
	}
	d.audits[node] = false
	d.mu.Unlock()
	for {
		d.auditOnce(node)
		timer := time.NewTimer(auditPause)
		select {
		case <-timer.C:
		case <-d.node.ctx.Done():
			timer.Stop()
		}
		d.mu.Lock()
		again := d.audits[node] && d.node.ctx.Err() == nil
		if !again {
			delete(d.audits, node)
			d.mu.Unlock()
			return
		}
		d.audits[node] = false
		d.mu.Unlock()
	}
}

func (d *dispatcher) auditOnce(node peer.NodeID) {
	d.mu.Lock()
	var ids []leader.AttemptID
	for id, a := range d.attempts {
		if a.to == node && a.taken {
			ids = append(ids, id)
		}
	}
	d.mu.Unlock()
	if len(ids) == 0 {
		return
	}
	var gone []leader.AttemptID
	err := d.node.insist(node, func(ctx context.Context) error {
		body, err := msgpack.Marshal(ids)
		if err != nil {
			return fmt.Errorf("encode attempts: %w", err)
		}
		b, err := d.node.rpc.call(ctx, node, methodMissing, body)
		if err != nil {
			return err
		}
		gone = nil
		return msgpack.Unmarshal(b, &gone)
	})
	if err != nil {
		gone = ids
	}
	d.mu.Lock()
	lost := gone[:0]
	for _, id := range gone {
		if a := d.attempts[id]; a != nil && a.to == node { // no result came meanwhile
			d.drop(id)
			lost = append(lost, id)
		}
	}
	d.mu.Unlock()
	d.tellLeaders(lost, (*leader.Leader).AttemptsLost)
}

// surveyNode asks one node until it answers, is not there any more, or ctx is
// done.
func (d *dispatcher) surveyNode(ctx context.Context, m Member, partition uint32, epoch uint64) []leader.AttemptID {
	n := d.node
	if m.Name == n.self {
		ids, _ := n.worker.survey(n.self, partition, epoch)
		return ids
	}
	body, err := msgpack.Marshal(surveyRequest{partition, epoch})
	if err != nil {
		return nil
	}
	for {
		b, err := n.rpc.call(ctx, m.Name, methodSurvey, body)
		if err == nil {
			n.answers(m.Name)
			var answer surveyAnswer
			if err := msgpack.Unmarshal(b, &answer); err == nil {
				return answer.Attempts
			}
		}
		if n.gone(m.Name) || ctx.Err() != nil {
			return nil
		}
		timer := time.NewTimer(workRetry)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// stopWork says that an attempt's result is not wanted, and why.
type stopWork struct {
	Attempt leader.AttemptID
	Reason  string
}

// sendCancel tells a node that an attempt's result is not wanted. If the message
// is lost, the attempt runs to its end in vain.
func (n *Node) sendCancel(to peer.NodeID, id leader.AttemptID, reason string) {
	n.notify(to, methodStopWork, stopWork{id, reason})
}

// tellRoom tells a node that was refused that there is room again, for one activity or
// (empty) at all. If the message is lost, that node tries again by itself.
func (n *Node) tellRoom(to peer.NodeID, activity string) {
	if to == n.self {
		n.dispatcher.roomAt(n.self, activity)
		return
	}
	n.notify(to, methodRoom, activity)
}

// notify sends a message whose answer is of no interest.
func (n *Node) notify(to peer.NodeID, method peer.Method, v any) {
	body, err := msgpack.Marshal(v)
	if err != nil {
		n.log.Error("cannot encode a message", "method", method, "error", err)
		return
	}
	n.wg.Go(func() {
		ctx, cancel := context.WithTimeout(n.ctx, 2*time.Second)
		defer cancel()
		_, _ = n.rpc.call(ctx, to, method, body) // see the callers for what a loss means
	})
}

func (n *Node) handleRun(_ context.Context, from peer.NodeID, body []byte) ([]byte, error) {
	var tasks []leader.ActivityTask
	if err := msgpack.Unmarshal(body, &tasks); err != nil {
		return nil, fmt.Errorf("decode attempts: %w", err)
	}
	verdicts := n.worker.take(from, tasks)
	return msgpack.Marshal(runAnswer{verdicts, n.worker.othersLoad(from)})
}

func (n *Node) handleStopWork(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var stop stopWork
	if err := msgpack.Unmarshal(body, &stop); err != nil {
		return nil, fmt.Errorf("decode attempt: %w", err)
	}
	n.worker.cancelAttempt(stop.Attempt, stop.Reason)
	return nil, nil
}

func (n *Node) handleSurvey(_ context.Context, from peer.NodeID, body []byte) ([]byte, error) {
	var req surveyRequest
	if err := msgpack.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode survey: %w", err)
	}
	ids, ok := n.worker.survey(from, req.Partition, req.Epoch)
	return msgpack.Marshal(surveyAnswer{ids, !ok})
}

func (n *Node) handleMissing(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var ids []leader.AttemptID
	if err := msgpack.Unmarshal(body, &ids); err != nil {
		return nil, fmt.Errorf("decode attempts: %w", err)
	}
	return msgpack.Marshal(n.worker.missing(ids))
}

func (n *Node) handleRoom(_ context.Context, from peer.NodeID, body []byte) ([]byte, error) {
	var activity string
	if err := msgpack.Unmarshal(body, &activity); err != nil {
		return nil, fmt.Errorf("decode name of an activity: %w", err)
	}
	n.dispatcher.roomAt(from, activity)
	return nil, nil
}
