package cluster

import (
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var fork = reprise.NewOrchestration[int, int]("poison.fork")

// An orchestration that starts two detached copies of itself, each of which does the same,
// has no end that anybody could wait for. Its starts take a part of each lane only, and
// its copies wait for room there; what others send goes on its way: children, events and
// ends of orchestrations beside it.
func TestForkBomb(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		over := make(chan struct{})
		defer close(over)
		w.bind = func(r *reprise.Registry, node string) {
			reprise.Bind(r, fork, func(o *reprise.Orchestration, depth int) (int, error) {
				w.mu.Lock()
				w.runs["fork"]++
				w.mu.Unlock()
				select {
				case <-over: // the bubble has to end
					return depth, nil
				default:
				}
				if _, err := work.Call(o, 1); err != nil { // or no time would pass in the bubble
					return 0, err
				}
				for range 2 {
					if _, err := fork.StartDetached(o, depth+1); err != nil {
						return 0, err
					}
				}
				return depth, nil
			})
		}
		w.configure = func(c *Config) { c.Limits = leader.Limits{Letters: 400, Starts: 20} }
		for _, name := range []string{"a", "b", "c"} {
			w.start(name, 3)
		}
		w.ready()
		a := w.nodes["a"]
		w.eventually(a, "leaders are spread", spreadAsPreferred)
		w.launch(a, startOf("poison.fork", "bomb", 0))
		forks := func() int {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.runs["fork"]
		}
		parked := func() (n float64) {
			for _, node := range w.nodes {
				n += gathered(t, node)["reprise_instances_parked"]
			}
			return n
		}
		// In steps of a millisecond: the trees are to begin while the first copies wait.
		for deadline := time.Now().Add(time.Minute); parked() == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no copy of %d waits for room", forks())
			}
		}
		before := forks()
		var trees []leader.InstanceRef
		for i := range 2 {
			trees = append(trees, w.launch(a, startOf("tree", fmt.Sprint("t", i), branch{Width: 2, Depth: 2})))
		}
		for _, ref := range trees {
			in, err := w.nodes["b"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
			if err != nil || in.Status != history.Completed || string(in.Output) != "4" {
				t.Errorf("%s beside the bomb: %v %s %s", ref.ID, err, in.Status, in.Output)
			}
		}
		t.Logf("%d copies ran before, %d in the meantime; %v wait", before, forks()-before, parked())
		if forks() == before {
			t.Error("the bomb did not go on; the test shows nothing")
		}
	})
}
