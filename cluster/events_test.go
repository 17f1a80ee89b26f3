package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Events of a sender that waits for each answer arrive once and in order, through the
// deaths of nodes and while the instance continues as new.
func TestEventsThroughCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		const count = 100
		req := startOf("list", "l", collection{Want: count})
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
			t.Fatal(err)
		}
		for i := range count {
			if i == 30 || i == 60 {
				w.crash(map[int]string{30: "b", 60: "c"}[i])
			}
			if i == 45 || i == 75 {
				w.start(map[int]string{45: "b", 75: "c"}[i], 3)
			}
			raise := leader.RaiseRequest{
				Instance: req.Instance, Name: "Item", Data: history.Payload(fmt.Sprint(i)),
				Identity: leader.RequestIdentity{ID: fmt.Sprint("e", i), Sent: time.Now()},
			}
			if err := w.nodes["a"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatalf("raise %d: %v", i, err)
			}
		}
		got, err := w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: req.Instance, Ended: true, Payloads: true})
		var items []int
		if err == nil {
			err = json.Unmarshal(got.Output, &items)
		}
		if err != nil || len(items) != count || !slices.IsSorted(items) || items[count-1] != count-1 {
			t.Errorf("%v with %d items %v, %v", got.Status, len(items), items, err)
		}
	})
}
