package cluster

import (
	"context"
	"sync/atomic"

	"github.com/reprise-run/reprise/history"
)

// spans brings the spans of the leaders on this node to who wants them. Leaders must
// not wait, so what does not fit into the queue is dropped and counted.
type spans struct {
	tell    func(history.Span)
	queue   chan history.Span
	dropped atomic.Uint64
}

// spanQueue is how many spans may wait to be told.
const spanQueue = 4096

// newSpans returns nil where nobody wants spans.
func newSpans(tell func(history.Span)) *spans {
	if tell == nil {
		return nil
	}
	return &spans{tell: tell, queue: make(chan history.Span, spanQueue)}
}

// take takes a span from a leader. It does not block.
func (s *spans) take(span history.Span) {
	select {
	case s.queue <- span:
	default:
		s.dropped.Add(1)
	}
}

// lost returns how many spans were dropped.
func (s *spans) lost() uint64 {
	if s == nil {
		return 0
	}
	return s.dropped.Load()
}

// taker returns what leaders call; nil where nobody wants spans.
func (s *spans) taker() func(history.Span) {
	if s == nil {
		return nil
	}
	return s.take
}

// run tells spans until ctx is done, and then those that wait.
func (s *spans) run(ctx context.Context) {
	for {
		select {
		case span := <-s.queue:
			s.tell(span)
		case <-ctx.Done():
			for {
				select {
				case span := <-s.queue:
					s.tell(span)
				default:
					return
				}
			}
		}
	}
}
