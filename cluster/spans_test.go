package cluster

import (
	"context"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// A leader never waits for who takes spans; what waits at the end is still told.
func TestSpansAreBounded(t *testing.T) {
	told := 0
	s := newSpans(func(history.Span) { told++ })
	for range spanQueue + 3 {
		s.take(history.Span{})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s.run(ctx); told != spanQueue || s.dropped.Load() != 3 {
		t.Errorf("%d told, %d dropped", told, s.dropped.Load())
	}
	if newSpans(nil).taker() != nil {
		t.Error("leaders are asked for spans that nobody wants")
	}
}
