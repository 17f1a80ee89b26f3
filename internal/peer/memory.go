package peer

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Memory is a network inside one process, for tests and simulation. It has
// faults by link, nodes that crash and pause, and no goroutine of its own while
// nothing is under way, so it may be used in a synctest bubble. The seed fixes
// which messages meet a fault, given the order in which they are sent.
type Memory struct {
	mu     sync.Mutex // guards all below, and the links
	rng    *rand.Rand
	nodes  map[NodeID]*MemoryNode // those that are up
	usual  Fault
	faults map[link]Fault
	links  map[link]*memoryLink
	paused map[NodeID]bool
}

// Fault is what may happen to the messages of one direction of a link. Answers
// are messages of the other direction.
type Fault struct {
	// Cut loses everything, silently.
	Cut bool
	// Drop, Duplicate and Reorder are probabilities for one message, 0 to 1. A
	// reordered message may be overtaken by later ones of its class.
	Drop, Duplicate, Reorder float64
	// MinDelay and MaxDelay bound the time under way.
	MinDelay, MaxDelay time.Duration
	// BytesPerSecond is how much passes, for each class apart. 0: no limit.
	BytesPerSecond int
}

// memoryLossTimeout is after how long the sender of a lost request learns that
// its connection is broken, like TCP_USER_TIMEOUT on a real link.
const memoryLossTimeout = 3 * time.Second

type link struct{ from, to NodeID }

// NewMemory returns a network without nodes and without faults.
func NewMemory(seed uint64) *Memory {
	return &Memory{
		rng:    rand.New(rand.NewPCG(seed, 0x7265707269736521)),
		nodes:  make(map[NodeID]*MemoryNode),
		faults: make(map[link]Fault),
		links:  make(map[link]*memoryLink),
		paused: make(map[NodeID]bool),
	}
}

// Node starts a new process of the node and returns its network. A process that
// was up under this name is crashed first.
func (m *Memory) Node(id NodeID) *MemoryNode {
	m.Crash(id)
	n := &MemoryNode{hub: m, id: id, handlers: make(map[Method]Handler)}
	m.mu.Lock()
	m.nodes[id] = n
	m.mu.Unlock()
	return n
}

// Crash ends a node's process: its own requests fail, requests to it fail, the
// others learn that it is lost. Crashing a node that is down does nothing.
func (m *Memory) Crash(id NodeID) {
	m.mu.Lock()
	n := m.nodes[id]
	delete(m.nodes, id)
	delete(m.paused, id)
	m.kick(id)
	var others []*MemoryNode
	if n != nil {
		for other, p := range m.nodes {
			// A node that is cut off hears no refusal.
			if !m.fault(link{id, other}).Cut && !m.fault(link{other, id}).Cut && !m.paused[other] {
				others = append(others, p)
			}
		}
	}
	m.mu.Unlock()
	if n == nil {
		return
	}
	n.calls.close(fmt.Errorf("%w: this node is down", ErrUnreachable))
	for _, p := range others {
		p.lost(id)
	}
}

// Up reports whether a process of the node is running.
func (m *Memory) Up(id NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[id] != nil
}

// Pause holds back all messages to and from a node, and all answers, as if its
// process was stopped, until Resume. Its goroutines run on.
func (m *Memory) Pause(id NodeID) {
	m.mu.Lock()
	m.paused[id] = true
	m.mu.Unlock()
}

// Resume lets a paused node's messages go.
func (m *Memory) Resume(id NodeID) {
	m.mu.Lock()
	delete(m.paused, id)
	m.kick(id)
	m.mu.Unlock()
}

// kick wakes the links of a node. Call with mu held.
func (m *Memory) kick(id NodeID) {
	for l, q := range m.links {
		if l.from == id || l.to == id {
			q.kick()
		}
	}
}

// SetUsual sets the fault of all links that have none of their own.
func (m *Memory) SetUsual(f Fault) {
	m.mu.Lock()
	m.usual = f
	m.mu.Unlock()
}

// SetLink sets the fault of one direction between two nodes.
func (m *Memory) SetLink(from, to NodeID, f Fault) {
	m.mu.Lock()
	m.faults[link{from, to}] = f
	m.mu.Unlock()
}

// Cut cuts or mends one direction between two nodes and keeps its other faults.
func (m *Memory) Cut(from, to NodeID, cut bool) {
	m.mu.Lock()
	f := m.fault(link{from, to})
	f.Cut = cut
	m.faults[link{from, to}] = f
	m.mu.Unlock()
}

// Isolate cuts both directions between each node of a and each of b.
func (m *Memory) Isolate(a, b []NodeID) {
	for _, x := range a {
		for _, y := range b {
			if x != y {
				m.Cut(x, y, true)
				m.Cut(y, x, true)
			}
		}
	}
}

// Heal removes the faults of all links; those of SetUsual stay.
func (m *Memory) Heal() {
	m.mu.Lock()
	clear(m.faults)
	m.mu.Unlock()
}

// fault returns the fault of a link. Call with mu held.
func (m *Memory) fault(l link) Fault {
	if l.from == l.to {
		return Fault{}
	}
	if f, ok := m.faults[l]; ok {
		return f
	}
	return m.usual
}

// MemoryNode is the [Network] of one process on a [Memory].
type MemoryNode struct {
	hub   *Memory
	id    NodeID
	calls calls

	mu       sync.Mutex // guards the fields below
	handlers map[Method]Handler
	onLost   func(NodeID)
}

var (
	_ Network      = (*MemoryNode)(nil)
	_ LossReporter = (*MemoryNode)(nil)
)

// Self implements [Network].
func (n *MemoryNode) Self() NodeID { return n.id }

// Handle implements [Network].
func (n *MemoryNode) Handle(method Method, h Handler) {
	n.mu.Lock()
	n.handlers[method] = h
	n.mu.Unlock()
}

// OnLost implements [LossReporter].
func (n *MemoryNode) OnLost(f func(NodeID)) {
	n.mu.Lock()
	n.onLost = f
	n.mu.Unlock()
}

// Connected implements [Network]. It sees cuts at once.
func (n *MemoryNode) Connected(node NodeID) bool {
	m := n.hub
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[n.id] == n && m.nodes[node] != nil && !m.fault(link{n.id, node}).Cut && !m.fault(link{node, n.id}).Cut
}

// Close ends the process, as [Memory.Crash] does.
func (n *MemoryNode) Close() error {
	m := n.hub
	m.mu.Lock()
	mine := m.nodes[n.id] == n
	m.mu.Unlock()
	if mine {
		m.Crash(n.id)
	}
	return nil
}

// Request implements [Network].
func (n *MemoryNode) Request(ctx context.Context, to NodeID, method Method, class Class, body []byte, done func([]byte, error)) {
	if err := ctx.Err(); err != nil {
		done(nil, err)
		return
	}
	if len(body) > MaxMessageBytes {
		done(nil, fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrTooLong, method, len(body), MaxMessageBytes))
		return
	}
	id, ok := n.calls.add(ctx, to, done)
	if !ok {
		done(nil, fmt.Errorf("%w: this node is down", ErrUnreachable))
		return
	}
	m := n.hub
	m.mu.Lock()
	target := m.nodes[to]
	switch {
	case m.nodes[n.id] != n || target == nil:
		m.mu.Unlock()
		n.calls.finish(id, nil, fmt.Errorf("%w: %s", ErrUnreachable, to))
		if target == nil {
			n.lost(to)
		}
		return
	case m.links[link{n.id, to}].full(class, len(body)):
		m.mu.Unlock()
		n.calls.finish(id, nil, fmt.Errorf("%w: %s", ErrBusy, to))
		return
	}
	m.send(memoryMessage{
		from: n, to: target, class: class, id: id, method: method,
		body: append([]byte{}, body...),
	})
	m.mu.Unlock()
}

// deliver runs on the goroutine of the link.
func (n *MemoryNode) deliver(msg memoryMessage) {
	if msg.answer {
		n.calls.finish(msg.id, msg.body, msg.err)
		return
	}
	n.mu.Lock()
	h := n.handlers[msg.method]
	n.mu.Unlock()
	var once sync.Once
	reply := func(body []byte, err error) {
		once.Do(func() {
			if err != nil {
				body, err = nil, &RemoteError{Node: n.id, Method: msg.method, Message: err.Error()}
			}
			m := n.hub
			m.mu.Lock()
			defer m.mu.Unlock()
			m.send(memoryMessage{
				from: n, to: msg.from, class: msg.class, id: msg.id, answer: true,
				body: append([]byte{}, body...), err: err,
			})
		})
	}
	if h == nil {
		m := n.hub
		m.mu.Lock()
		m.send(memoryMessage{
			from: n, to: msg.from, class: msg.class, id: msg.id, answer: true,
			err: fmt.Errorf("%w: %s at %s", ErrNoHandler, msg.method, n.id),
		})
		m.mu.Unlock()
		return
	}
	h(msg.from.id, msg.body, reply)
}

// lost tells this node that a peer's process is gone, and fails the requests
// that wait for it.
func (n *MemoryNode) lost(id NodeID) {
	n.calls.fail(func(_ uint64, to NodeID) bool { return to == id }, fmt.Errorf("%w: connection to %s lost", ErrUnreachable, id))
	n.mu.Lock()
	f := n.onLost
	n.mu.Unlock()
	if f != nil {
		f(id)
	}
}
