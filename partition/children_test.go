package partition

import (
	"fmt"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// TestTerminationOfMany terminates an orchestration with its children. What tells them fits
// into an entry, also where the reason is long.
func TestTerminationOfMany(t *testing.T) {
	for _, c := range []struct {
		children, reason int
		told             bool
	}{{10_000, 100, true}, {10_000, 16 << 10, false}, {60, history.MaxPayloadBytes, true}, {400, history.MaxPayloadBytes, false}} {
		s := newMapStore()
		started := &history.ExecutionStarted{Name: "n", ExecutionID: "x1"}
		r := Create(started, at(0))
		var decided []history.Event
		for i := range c.children {
			decided = append(decided, history.Event{ID: int32(i), Body: &history.SubOrchestrationInstanceCreated{Name: "kid", Instance: history.InstanceID(fmt.Sprint("kid", i))}})
		}
		apply(t, s, r, Turn{Began: at(1), Mail: []*Mail{{Event: event(started)}}, Episode: history.Episode{Decided: decided}})
		end := &history.ExecutionTerminated{Reason: make(history.Payload, c.reason), Recurse: true}
		fx, err := Apply(s, anAddress, r, Turn{Began: at(2), ByServer: true, Mail: []*Mail{{Event: event(end)}}, Episode: history.Episode{Decided: []history.Event{
			{ID: history.NoID, Body: &history.ExecutionCompleted{Status: history.Terminated, Result: end.Reason}},
		}}})
		if err != nil || len(fx.Sent) != c.children {
			t.Fatalf("%d of %d children are told, %v", len(fx.Sent), c.children, err)
		}
		bytes := 0
		for _, l := range fx.Sent {
			b := l.Event.Body.(*history.ExecutionTerminated)
			if told := len(b.Reason) == c.reason; !b.Recurse || told != c.told {
				t.Fatalf("%d children, a reason of %d bytes: they are told %d of it", c.children, c.reason, len(b.Reason))
			}
			bytes += Inline(len(l.Encode()))
		}
		if bytes > 16<<20 {
			t.Errorf("%d children, a reason of %d bytes: letters of %d bytes", c.children, c.reason, bytes)
		}
	}
}
