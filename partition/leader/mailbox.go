package leader

import "sync"

// message is something for the loop to do.
type message interface {
	// handle is called on the loop. An error ends the reign.
	handle(c *core) error
	// fail is called instead when the loop has ended.
	fail()
}

// class is a kind of message with a bound of its own.
type class int

const (
	requests class = iota
	results
	lanes
	internal // bounded by what the loop itself began
	classes
)

// mailbox is the way to the loop. It is safe for concurrent use.
type mailbox struct {
	signal chan struct{} // capacity 1

	mu     sync.Mutex // protects the fields below
	closed bool
	items  []message
	counts [classes]int // that are waiting or being handled in this round
	limits [classes]int // 0: none
}

// push hands a message over, or fails with ErrOverloaded or ErrNotLeading.
func (b *mailbox) push(m message, k class) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return ErrNotLeading
	}
	if limit := b.limits[k]; limit > 0 && b.counts[k] >= limit {
		b.mu.Unlock()
		return ErrOverloaded
	}
	b.counts[k]++
	b.items = append(b.items, m)
	b.mu.Unlock()
	select {
	case b.signal <- struct{}{}:
	default:
	}
	return nil
}

// take returns all messages; spare is reused for the next ones.
func (b *mailbox) take(spare []message) []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := b.items
	b.items = spare[:0]
	b.counts = [classes]int{}
	return items
}

// close refuses further messages and returns those that wait.
func (b *mailbox) close() []message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	items := b.items
	b.items = nil
	return items
}
