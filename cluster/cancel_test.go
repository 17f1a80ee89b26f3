package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	linger  = reprise.NewActivity[reprise.None, reprise.None]("linger")
	undo    = reprise.NewActivity[reprise.None, reprise.None]("undo")
	careful = reprise.NewOrchestration[reprise.None, int]("careful")
	guard   = reprise.NewOrchestration[reprise.None, int]("guard")
)

// bindCareful binds an orchestration that waits for an activity without an end, and
// undoes it when it is cancelled; and one that waits for such a child.
func (w *testWorld) bindCareful(r *reprise.Registry, node string) {
	reprise.Bind(r, linger, func(ctx context.Context, _ reprise.None) (reprise.None, error) {
		w.mu.Lock()
		w.runs["linger"]++
		w.mu.Unlock()
		<-ctx.Done()
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.causes == nil {
			w.causes = make(map[string][]error)
		}
		w.causes[node] = append(w.causes[node], context.Cause(ctx))
		return reprise.None{}, ctx.Err()
	})
	reprise.Bind(r, undo, func(ctx context.Context, _ reprise.None) (reprise.None, error) {
		time.Sleep(20 * time.Millisecond) // of the bubble's time
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.undone == nil {
			w.undone = make(map[string]bool)
		}
		w.undone[string(reprise.Attempt(ctx).Instance)] = true
		return reprise.None{}, ctx.Err()
	})
	reprise.Bind(r, careful, func(o *reprise.Orchestration, _ reprise.None) (n int, err error) {
		var saga reprise.Saga
		defer saga.Compensate(o, &err)
		_, err = reprise.Step(o, &saga, linger, undo, reprise.None{}).Await(o)
		return 0, err
	})
	reprise.Bind(r, guard, func(o *reprise.Orchestration, _ reprise.None) (int, error) {
		return careful.Call(o, reprise.None{}, reprise.ChildID(history.InstanceID("kid-of-"+o.InstanceID())))
	})
}

// A request to end reaches orchestrations, their children and their activities on
// all nodes, through the death of one of them.
func TestCancelThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		const count = 12
		for i := range count {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("guard", fmt.Sprint("g", i), nil)); err != nil {
				t.Fatal(err)
			}
		}
		w.eventually(w.nodes["a"], "the activities run", func(Description) bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.runs["linger"] >= count
		})
		for i := range count {
			req := leader.CancelRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("g", i))}, Reason: "enough",
				Identity: leader.RequestIdentity{ID: fmt.Sprint("c", i), Sent: time.Now()},
			}
			if err := w.nodes["a"].Cancel(w.within(time.Minute), req); err != nil {
				t.Fatalf("cancel %d: %v", i, err)
			}
			if i == count-3 {
				w.crash("b")
			}
		}
		for i := range count {
			id := history.InstanceID(fmt.Sprint("g", i))
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: leader.InstanceRef{Hub: "default", ID: id}, Ended: true, Payloads: true})
			if err != nil || got.Status != history.Canceled || got.Failure == nil || !strings.Contains(got.Failure.Message, "enough") {
				t.Errorf("%s: %v with failure %+v, %v", id, got.Status, got.Failure, err)
			}
			w.mu.Lock()
			if !w.undone["kid-of-"+string(id)] {
				t.Errorf("%s has ended, and its child has not cleaned up", id)
			}
			w.mu.Unlock()
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		told := 0
		for _, node := range []string{"a", "c"} {
			for _, cause := range w.causes[node] {
				var canceled *reprise.CanceledError
				if !errors.As(cause, &canceled) || !errors.Is(cause, reprise.ErrCanceled) {
					t.Errorf("an activity of node %s ended by %v", node, cause)
				} else if canceled.Reason == "enough" {
					told++
				}
			}
		}
		if len(w.causes["a"]) == 0 || len(w.causes["c"]) == 0 || told == 0 {
			t.Errorf("activities were told %v", w.causes)
		}
	})
}
