package peer

import "sync"

// fairness is after how many pieces of more urgent classes in a row a waiting
// piece of a less urgent one is sent, so that load cannot starve snapshots.
const fairness = 16

// outbox holds the messages that wait for a connection, by class. It is safe for
// concurrent use; one goroutine takes from it.
type outbox struct {
	mu      sync.Mutex
	queues  [Bulk + 1]outQueue
	ahead   [Bulk + 1]int // pieces that overtook this class since it last sent
	waiting chan struct{} // capacity 1: something was put
}

type outQueue struct {
	messages []*message
	bytes    int
	offset   int // what was sent of the first message
}

func newOutbox() *outbox { return &outbox{waiting: make(chan struct{}, 1)} }

// put queues a message; false if the class is full.
func (o *outbox) put(m *message) bool {
	o.mu.Lock()
	q := &o.queues[m.class]
	if n := len(q.messages); n > 0 && (n >= maxQueuedMessages || q.bytes+len(m.body) > maxQueuedBytes) {
		o.mu.Unlock()
		return false
	}
	q.messages = append(q.messages, m)
	q.bytes += len(m.body)
	o.mu.Unlock()
	select {
	case o.waiting <- struct{}{}:
	default:
	}
	return true
}

// next appends the frame of the next piece to dst; false if nothing waits.
func (o *outbox) next(dst []byte) ([]byte, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	chosen := -1
	for class := range o.queues {
		if len(o.queues[class].messages) == 0 {
			continue
		}
		if chosen < 0 {
			chosen = class
		} else if o.ahead[class]++; o.ahead[class] >= fairness {
			chosen = class
		}
	}
	if chosen < 0 {
		return dst, false
	}
	o.ahead[chosen] = 0
	q := &o.queues[chosen]
	m := q.messages[0]
	dst, next, done := appendPiece(dst, m, q.offset)
	q.offset = next
	if done {
		q.offset = 0
		q.bytes -= len(m.body)
		q.messages[0] = nil
		q.messages = q.messages[1:]
		if len(q.messages) == 0 {
			q.messages = nil
		}
	}
	return dst, true
}
