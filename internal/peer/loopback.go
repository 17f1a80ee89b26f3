package peer

import "sync"

// loopback hands a node's requests to itself to its handlers, in order, on a
// goroutine that lives while there are any.
type loopback struct {
	mu      sync.Mutex
	queue   []func()
	running bool
}

// do queues f; false if too much is queued.
func (l *loopback) do(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= maxQueuedMessages {
		return false
	}
	l.queue = append(l.queue, f)
	if !l.running {
		l.running = true
		go l.run()
	}
	return true
}

func (l *loopback) run() {
	for {
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		if len(queue) == 0 {
			l.running = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		for _, f := range queue {
			f()
		}
	}
}
