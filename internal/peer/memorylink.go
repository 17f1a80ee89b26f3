package peer

import (
	"container/heap"
	"fmt"
	"time"
)

// memoryMessage is a request or an answer under way.
type memoryMessage struct {
	from, to *MemoryNode
	class    Class
	id       uint64
	method   Method // of a request
	answer   bool
	body     []byte
	err      error // of an answer
}

// memoryLink holds the messages under way in one direction. Its goroutine lives
// while there are any. The mutex of the hub guards it.
type memoryLink struct {
	key      link
	queue    messageHeap
	sequence uint64
	newest   [Bulk + 1]time.Time // when the last message in order of a class arrives
	messages [Bulk + 1]int
	bytes    [Bulk + 1]int
	running  bool
	wake     chan struct{} // capacity 1: the head of the queue changed
}

func (q *memoryLink) full(class Class, size int) bool {
	return q != nil && q.messages[class] > 0 &&
		(q.messages[class] >= maxQueuedMessages || q.bytes[class]+size > maxQueuedBytes)
}

func (q *memoryLink) kick() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// send puts a message on its link, subject to its faults. Call with mu held.
func (m *Memory) send(msg memoryMessage) {
	key := link{msg.from.id, msg.to.id}
	q := m.links[key]
	if q == nil {
		q = &memoryLink{key: key, wake: make(chan struct{}, 1)}
		m.links[key] = q
	}
	f := m.fault(key)
	if f.Cut || f.Drop > 0 && m.rng.Float64() < f.Drop {
		m.lose(msg)
		return
	}
	copies := 1
	if f.Duplicate > 0 && m.rng.Float64() < f.Duplicate {
		copies = 2
	}
	for range copies {
		due := time.Now().Add(f.MinDelay)
		if spread := f.MaxDelay - f.MinDelay; spread > 0 {
			due = due.Add(time.Duration(m.rng.Int64N(int64(spread) + 1)))
		}
		if f.Reorder > 0 && m.rng.Float64() < f.Reorder {
			due = due.Add(f.MinDelay + time.Millisecond)
		} else {
			if due.Before(q.newest[msg.class]) {
				due = q.newest[msg.class]
			}
			if f.BytesPerSecond > 0 {
				due = due.Add(time.Duration(len(msg.body)) * time.Second / time.Duration(f.BytesPerSecond))
			}
			q.newest[msg.class] = due
		}
		q.sequence++
		q.messages[msg.class]++
		q.bytes[msg.class] += len(msg.body)
		heap.Push(&q.queue, queuedMessage{due, q.sequence, msg})
	}
	if q.running {
		q.kick()
		return
	}
	q.running = true
	go m.carry(q)
}

// lose makes the sender of the request learn, later, that the connection broke.
func (m *Memory) lose(msg memoryMessage) {
	asker, peer := msg.from, msg.to
	if msg.answer {
		asker, peer = msg.to, msg.from
	}
	time.AfterFunc(memoryLossTimeout, func() {
		asker.calls.finish(msg.id, nil, fmt.Errorf("%w: connection to %s timed out", ErrUnreachable, peer.id))
	})
}

// carry delivers the messages of a link as they fall due.
func (m *Memory) carry(q *memoryLink) {
	for {
		m.mu.Lock()
		if len(q.queue) == 0 {
			q.running = false
			m.mu.Unlock()
			return
		}
		if m.paused[q.key.from] || m.paused[q.key.to] {
			m.mu.Unlock()
			<-q.wake
			continue
		}
		wait := time.Until(q.queue[0].due)
		if wait > 0 {
			m.mu.Unlock()
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-q.wake:
				timer.Stop()
			}
			continue
		}
		msg := heap.Pop(&q.queue).(queuedMessage).memoryMessage
		q.messages[msg.class]--
		q.bytes[msg.class] -= len(msg.body)
		up := m.nodes[msg.to.id] == msg.to
		cut := m.fault(q.key).Cut
		if cut && up {
			m.lose(msg)
		}
		m.mu.Unlock()
		switch {
		case cut:
		case up:
			msg.to.deliver(msg)
		case !msg.answer:
			msg.from.calls.finish(msg.id, nil, fmt.Errorf("%w: connection to %s lost", ErrUnreachable, msg.to.id))
		}
	}
}

// queuedMessage is ordered by due time, then by class, then by the order of sending.
type queuedMessage struct {
	due      time.Time
	sequence uint64
	memoryMessage
}

type messageHeap []queuedMessage

func (h messageHeap) Len() int { return len(h) }
func (h messageHeap) Less(i, j int) bool {
	if !h[i].due.Equal(h[j].due) {
		return h[i].due.Before(h[j].due)
	}
	if h[i].class != h[j].class {
		return h[i].class < h[j].class
	}
	return h[i].sequence < h[j].sequence
}
func (h messageHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *messageHeap) Push(x any)   { *h = append(*h, x.(queuedMessage)) }
func (h *messageHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	old[len(old)-1] = queuedMessage{}
	*h = old[:len(old)-1]
	return x
}
