package cluster

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// dispatcher brings attempts of activities to the nodes that have room for them,
// for all leaders on this node. It implements [leader.Dispatcher].
type dispatcher struct {
	node *Node

	mu       sync.Mutex // guards all below
	targets  map[peer.NodeID]*target
	attempts map[leader.AttemptID]*dispatched
	starved  bool                 // somebody was told that there is no room
	audits   map[peer.NodeID]bool // those that run; true: once more
}

// target is a node that runs activities.
type target struct {
	name        peer.NodeID
	incarnation uint64
	names       []string // of the activities, sorted
	labels      map[string]string
	capacity    int
	ours        int                  // attempts that this node's leaders have there
	others      int                  // attempts that run there for other nodes, as last heard
	fullUntil   time.Time            // it refused work; it tells when it has room
	limited     map[string]time.Time // likewise, by activity: its limits are reached
	queue       []leader.ActivityTask
	sending     bool
}

// dispatched is an attempt that was given to a node.
type dispatched struct {
	to peer.NodeID
	// taken is true once the node has said that it runs it.
	taken bool
	// ended is true once the result is here: it takes no room any more. It is known
	// until the result is recorded, because it is lost if the node dies before.
	ended bool
	// unwanted is why it was cancelled before the node had said that it runs it; nil: it
	// was not. The node is told once more when it has.
	unwanted *string
}

// fullPause is how long a node that was full is left alone, if it does not say
// sooner that it has room.
const fullPause = time.Second

var _ leader.Dispatcher = (*dispatcher)(nil)

func newDispatcher(n *Node) *dispatcher {
	return &dispatcher{node: n, targets: make(map[peer.NodeID]*target), attempts: make(map[leader.AttemptID]*dispatched), audits: make(map[peer.NodeID]bool)}
}

// Dispatch implements [leader.Dispatcher].
func (d *dispatcher) Dispatch(task leader.ActivityTask) bool {
	for {
		if taken, again := d.dispatch(task); !again {
			return taken
		}
	}
}

// dispatch gives an attempt to a node; again: this one refused it because of the
// activity's limits, another may take it.
func (d *dispatcher) dispatch(task leader.ActivityTask) (taken, again bool) {
	d.mu.Lock()
	t := d.choose(task.Name, task.Options)
	if t == nil {
		d.starved = true
		d.mu.Unlock()
		return false, false
	}
	t.ours++
	task.Process = t.incarnation
	d.attempts[task.Attempt] = &dispatched{to: t.name}
	if t.name != d.node.self {
		t.queue = append(t.queue, task)
		start := !t.sending
		t.sending = true
		d.mu.Unlock()
		if start {
			d.node.wg.Go(func() { d.send(t) })
		}
		return true, false
	}
	d.attempts[task.Attempt].taken = true
	d.mu.Unlock()
	if v := d.node.worker.take(d.node.self, []leader.ActivityTask{task})[0]; v != verdictTaken {
		d.mu.Lock()
		d.drop(task.Attempt)
		t.refused(v, task.Name)
		d.starved = true
		d.mu.Unlock()
		return false, v == verdictLimited
	}
	return true, false
}

// choose returns this node while it runs next to nothing: a short activity costs
// less here than its way to another node and back. Then it is the node with the
// smallest share of its room in use, this one first among equals, so that a
// fan-out uses all nodes. It returns nil if none has room. Call with mu held.
func (d *dispatcher) choose(name string, options *history.TaskOptions) *target {
	var best *target
	now := time.Now()
	for _, t := range d.targets {
		if t.room(name, now) == 0 || !t.runs(name, options) {
			continue
		}
		if best == nil || d.better(t, best) {
			best = t
		}
	}
	return best
}

// better reports whether a is to be preferred to b.
func (d *dispatcher) better(a, b *target) bool {
	if a.name == d.node.self && a.idle() || b.name == d.node.self && b.idle() {
		return a.name == d.node.self
	}
	// a.load/a.capacity < b.load/b.capacity, without fractions.
	x, y := (a.ours+a.others)*b.capacity, (b.ours+b.others)*a.capacity
	switch {
	case x != y:
		return x < y
	case a.name == d.node.self || b.name == d.node.self:
		return a.name == d.node.self
	default:
		return a.name < b.name
	}
}

// idle reports whether a node runs fewer activities than it has processors, as
// far as this node can tell, and less than half of what it takes.
func (t *target) idle() bool {
	load := t.ours + t.others
	return load < runtime.GOMAXPROCS(0) && 2*load < t.capacity
}

// drop forgets an attempt. Call with mu held.
func (d *dispatcher) drop(id leader.AttemptID) {
	a := d.attempts[id]
	if a == nil {
		return
	}
	delete(d.attempts, id)
	d.free(a)
}

// free gives the room back that an attempt takes. Call with mu held.
func (d *dispatcher) free(a *dispatched) {
	if t := d.targets[a.to]; t != nil && !a.ended && t.ours > 0 {
		t.ours--
	}
	a.ended = true
}

// finished says that an attempt runs no more: its result is here.
func (d *dispatcher) finished(id leader.AttemptID) {
	d.mu.Lock()
	if a := d.attempts[id]; a != nil {
		d.free(a)
		if t := d.targets[a.to]; t != nil {
			t.fullUntil = time.Time{}
		}
	}
	tell := d.starved
	d.starved = false
	d.mu.Unlock()
	if tell {
		d.tellRoom()
	}
}

// recorded says that the result of an attempt is recorded, or not wanted.
func (d *dispatcher) recorded(id leader.AttemptID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(id)
}

// tellRoom tells all leaders here that there may be room.
func (d *dispatcher) tellRoom() {
	for _, l := range d.node.localLeaders() {
		l.CapacityFreed()
	}
}

// roomAt notes that a node says it has room, for one activity or (empty) at all.
func (d *dispatcher) roomAt(node peer.NodeID, activity string) {
	d.mu.Lock()
	if t := d.targets[node]; t != nil {
		if activity == "" {
			t.fullUntil = time.Time{}
		}
		delete(t.limited, activity)
	}
	d.starved = false
	d.mu.Unlock()
	d.tellRoom()
}

// avoid gives a node no work for a while: its process is said to be gone.
func (d *dispatcher) avoid(node peer.NodeID) {
	d.mu.Lock()
	if t := d.targets[node]; t != nil {
		t.fullUntil = time.Now().Add(fullPause)
	}
	d.mu.Unlock()
}

// heard notes how many attempts a node runs for others.
func (d *dispatcher) heard(node peer.NodeID, others int) {
	d.mu.Lock()
	if t := d.targets[node]; t != nil {
		t.others = others
	}
	d.mu.Unlock()
}

// setTarget makes a node one that may get work, or notes what changed about it.
func (d *dispatcher) setTarget(name peer.NodeID, info nodeInfo) {
	d.mu.Lock()
	t := d.targets[name]
	if t == nil {
		t = &target{name: name, limited: make(map[string]time.Time)}
		d.targets[name] = t
	}
	if t.incarnation != info.Incarnation {
		t.fullUntil = time.Time{}
	}
	t.labels = info.Labels
	t.incarnation, t.names, t.capacity = info.Incarnation, slices.Sorted(slices.Values(info.Activities)), info.Capacity
	d.starved = false
	d.mu.Unlock()
	d.tellRoom()
}

// removeTarget stops giving work to a node. dead says that its process is gone:
// what it ran is lost.
func (d *dispatcher) removeTarget(name peer.NodeID, dead bool) {
	d.mu.Lock()
	var lost []leader.AttemptID
	if dead {
		for id, a := range d.attempts {
			if a.to == name {
				lost = append(lost, id)
			}
		}
		for _, id := range lost {
			d.drop(id)
		}
		delete(d.targets, name)
	} else if t := d.targets[name]; t != nil {
		t.capacity = 0
	}
	d.mu.Unlock()
	d.tellLeaders(lost, (*leader.Leader).AttemptsLost)
}

// forgetPartition drops what was dispatched for a partition: another leader
// adopts it.
func (d *dispatcher) forgetPartition(partition uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id := range d.attempts {
		if id.Partition == partition {
			d.drop(id)
		}
	}
	for _, t := range d.targets {
		t.queue = slices.DeleteFunc(t.queue, func(task leader.ActivityTask) bool { return task.Attempt.Partition == partition })
	}
}

// tellLeaders tells leaders here what became of attempts.
func (d *dispatcher) tellLeaders(ids []leader.AttemptID, tell func(*leader.Leader, []leader.AttemptID)) {
	by := make(map[uint32][]leader.AttemptID)
	for _, id := range ids {
		by[id.Partition] = append(by[id.Partition], id)
	}
	for partition, ids := range by {
		if l, _ := d.node.localLeader(partition); l != nil {
			tell(l, ids)
		}
	}
}

// Cancel implements [leader.Dispatcher].
func (d *dispatcher) Cancel(id leader.AttemptID, reason string) {
	d.mu.Lock()
	a := d.attempts[id]
	if a == nil {
		d.mu.Unlock()
		return
	}
	to := a.to
	queued := false
	if t := d.targets[to]; t != nil && !a.taken {
		before := len(t.queue)
		t.queue = slices.DeleteFunc(t.queue, func(task leader.ActivityTask) bool { return task.Attempt == id })
		queued = len(t.queue) < before
	}
	switch {
	case queued:
		d.drop(id)
	case !a.taken:
		a.unwanted = &reason
	}
	d.mu.Unlock()
	if !queued {
		d.stop(to, id, reason)
	}
}

// stop tells a node that an attempt's result is not wanted.
func (d *dispatcher) stop(node peer.NodeID, id leader.AttemptID, reason string) {
	if node == d.node.self {
		d.node.worker.cancelAttempt(id, reason)
		return
	}
	d.node.sendCancel(node, id, reason)
}

// Survey implements [leader.Dispatcher].
func (d *dispatcher) Survey(ctx context.Context, partition uint32, epoch uint64) []leader.AttemptID {
	ctx, cancel := context.WithTimeout(ctx, surveyPatience)
	defer cancel()
	var mu sync.Mutex
	var all []leader.AttemptID
	var wg sync.WaitGroup
	for _, m := range d.node.members.Members() {
		wg.Go(func() {
			ids := d.surveyNode(ctx, m, partition, epoch)
			d.adopt(m.Name, ids)
			mu.Lock()
			all = append(all, ids...)
			mu.Unlock()
		})
	}
	wg.Wait()
	return all
}

// adopt notes attempts that a node runs for a leader before this one.
func (d *dispatcher) adopt(node peer.NodeID, ids []leader.AttemptID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		if d.attempts[id] != nil {
			continue
		}
		d.attempts[id] = &dispatched{to: node, taken: true}
		if t := d.targets[node]; t != nil {
			t.ours++
		}
	}
}
