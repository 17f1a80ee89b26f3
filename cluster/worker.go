package cluster

import (
	"cmp"
	"context"
	"sync"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// worker runs attempts of activities on this node, for the leaders of all nodes.
// It keeps a result until a leader says that it is recorded or not wanted. It is
// safe for concurrent use.
type worker struct {
	node *Node

	mu         sync.Mutex // guards all below
	attempts   map[leader.AttemptID]*attempt
	running    int
	partitions map[uint32]*workPartition
	refused    map[peer.NodeID]bool // who was refused, and is to hear of room
	stale      uint64               // attempts refused because their epoch was over
	stopping   bool                 // takes no new work
	stopped    bool                 // lets nothing out any more
	idle       broadcast            // an attempt ended or was forgotten
}

// attempt is one that runs, or whose result waits to be recorded.
type attempt struct {
	task   leader.ActivityTask
	cancel context.CancelCauseFunc
	result *leader.ActivityResult // nil while it runs
}

// workPartition is what the worker knows of a partition.
type workPartition struct {
	epoch   uint64      // the highest seen: work of a lower one is refused
	owner   peer.NodeID // who leads in that epoch: gets the results
	waiting []*attempt  // results to send
	sending int         // messages under way
	resend  bool        // a pause before sending again is under way
}

// verdict is what a worker says to an attempt that it is asked to run.
type verdict uint8

const (
	verdictTaken   verdict = 1
	verdictFull    verdict = 2
	verdictStale   verdict = 3 // of an epoch that is over
	verdictUnbound verdict = 4
)

// heldFactor bounds the results that wait to be recorded, as a multiple of the
// attempts that may run.
const heldFactor = 4

func newWorker(n *Node) *worker {
	return &worker{
		node: n, attempts: make(map[leader.AttemptID]*attempt),
		partitions: make(map[uint32]*workPartition), refused: make(map[peer.NodeID]bool),
	}
}

// take begins to run attempts that the leader on node from wants.
func (w *worker) take(from peer.NodeID, tasks []leader.ActivityTask) []verdict {
	verdicts := make([]verdict, len(tasks))
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, task := range tasks {
		verdicts[i] = w.takeOne(from, task)
	}
	return verdicts
}

func (w *worker) takeOne(from peer.NodeID, task leader.ActivityTask) verdict {
	p := w.see(task.Attempt.Partition, task.Attempt.Fence.Epoch, from)
	switch {
	case p.epoch > task.Attempt.Fence.Epoch:
		w.stale++
		return verdictStale
	case w.attempts[task.Attempt] != nil:
		return verdictTaken // asked twice
	case !w.node.binds(task.Name):
		return verdictUnbound
	case w.stopping || w.running >= w.node.cfg.Activities || len(w.attempts) >= heldFactor*w.node.cfg.Activities:
		w.refused[from] = true
		return verdictFull
	}
	ctx, cancel := context.WithCancelCause(w.node.ctx)
	a := &attempt{task: task, cancel: cancel}
	w.attempts[task.Attempt] = a
	w.running++
	w.node.wg.Go(func() {
		defer cancel(nil)
		w.ended(a, w.node.code.Run(ctx, task))
	})
	return verdictTaken
}

// staleWork returns how many attempts were refused because their epoch was over.
func (w *worker) staleWork() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stale
}

// held returns how many results wait to be recorded.
func (w *worker) held() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(len(w.attempts)-w.running, 0)
}

// see notes an epoch of a partition and who leads in it. Call with mu held.
func (w *worker) see(partition uint32, epoch uint64, from peer.NodeID) *workPartition {
	p := w.partitions[partition]
	if p == nil {
		p = &workPartition{}
		w.partitions[partition] = p
	}
	if epoch > p.epoch {
		p.epoch, p.owner = epoch, from
	}
	return p
}

func (w *worker) ended(a *attempt, result leader.ActivityResult) {
	w.mu.Lock()
	w.running--
	if w.stopped {
		w.mu.Unlock()
		return // cut short by the end of the node: it runs again elsewhere
	}
	result.Attempt, result.Node = a.task.Attempt, string(w.node.self)
	a.result = &result
	p := w.partitions[a.task.Attempt.Partition]
	p.waiting = append(p.waiting, a)
	told := w.refused
	if len(told) > 0 {
		w.refused = make(map[peer.NodeID]bool)
	}
	w.mu.Unlock()
	w.idle.fire()
	w.node.deliver(a.task.Attempt.Partition)
	for who := range told {
		w.node.tellRoom(who)
	}
}

// notWanted is the reason where none was given.
const notWanted = "the result of this attempt is not wanted any more"

// cancelAttempt tells a running attempt that its result is not wanted: its context is
// cancelled, and the cause tells why.
func (w *worker) cancelAttempt(id leader.AttemptID, reason string) {
	w.mu.Lock()
	a := w.attempts[id]
	w.mu.Unlock()
	if a != nil {
		a.cancel(&reprise.CanceledError{Reason: cmp.Or(reason, notWanted)})
	}
}

// survey returns the attempts of a partition, of lower epochs, that run here or
// whose result is here. From now on lower epochs are refused, and results go to the node that
// asks. ok is false if the question itself is of a lower epoch.
func (w *worker) survey(from peer.NodeID, partition uint32, epoch uint64) (ids []leader.AttemptID, ok bool) {
	w.mu.Lock()
	p := w.see(partition, epoch, from)
	if p.epoch != epoch {
		w.mu.Unlock()
		return nil, false
	}
	for id := range w.attempts {
		if id.Partition == partition && id.Fence.Epoch < epoch {
			ids = append(ids, id)
		}
	}
	w.mu.Unlock()
	w.node.deliver(partition)
	return ids, true
}

// missing returns those of the attempts that are not here.
func (w *worker) missing(ids []leader.AttemptID) (gone []leader.AttemptID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range ids {
		if w.attempts[id] == nil {
			gone = append(gone, id)
		}
	}
	return gone
}

// load returns how many attempts run.
func (w *worker) load() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running
}

// othersLoad returns how many attempts run here for leaders that are not on the
// node.
func (w *worker) othersLoad(node peer.NodeID) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	count := 0
	for id, a := range w.attempts {
		if a.result == nil && w.partitions[id.Partition].owner != node {
			count++
		}
	}
	return count
}

// drain takes no new work and returns when all results are recorded, or ctx is
// done. From then on nothing leaves the worker.
func (w *worker) drain(ctx context.Context) {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	for {
		changed := w.idle.wait()
		w.mu.Lock()
		if len(w.attempts) == 0 || ctx.Err() != nil {
			w.stopped = true
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}
