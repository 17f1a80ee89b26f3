package peer

import (
	"context"
	"sync"
)

// calls are the requests of one sender that wait for their answer. They are
// safe for concurrent use.
type calls struct {
	mu      sync.Mutex
	next    uint64
	pending map[uint64]*pendingCall
	closed  bool
}

type pendingCall struct {
	to   NodeID
	done func([]byte, error)
	stop func() bool // ends the watch of the request's context; nil without one
}

// add registers a request and returns its number; ok is false after fail with
// forever. done is called once: by finish, by fail, or with the context's error.
func (c *calls) add(ctx context.Context, to NodeID, done func([]byte, error)) (id uint64, ok bool) {
	p := &pendingCall{to: to, done: done}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return 0, false
	}
	if c.pending == nil {
		c.pending = make(map[uint64]*pendingCall)
	}
	c.next++
	id = c.next
	c.pending[id] = p
	if ctx.Done() != nil {
		p.stop = context.AfterFunc(ctx, func() { c.finish(id, nil, ctx.Err()) })
	}
	c.mu.Unlock()
	return id, true
}

// finish answers a request. An unknown number (answered already) is ignored.
func (c *calls) finish(id uint64, body []byte, err error) {
	c.mu.Lock()
	p := c.pending[id]
	delete(c.pending, id)
	c.mu.Unlock()
	if p == nil {
		return
	}
	if p.stop != nil {
		p.stop()
	}
	p.done(body, err)
}

// fail answers all requests for which match is true.
func (c *calls) fail(match func(id uint64, to NodeID) bool, err error) {
	c.mu.Lock()
	var ids []uint64
	for id, p := range c.pending {
		if match(id, p.to) {
			ids = append(ids, id)
		}
	}
	c.mu.Unlock()
	for _, id := range ids {
		c.finish(id, nil, err)
	}
}

// close answers all requests and refuses new ones.
func (c *calls) close(err error) {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.fail(func(uint64, NodeID) bool { return true }, err)
}
