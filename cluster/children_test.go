package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// Children are in all partitions; their starts and ends find the way through the
// death of a node.
func TestChildrenThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		shapes := []branch{{3, 4}, {200, 1}, {1, 60}}
		for i, b := range shapes {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("tree", fmt.Sprint("t", i), b)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(30 * time.Millisecond) // of the bubble's time: they are in the middle of it
		w.crash("b")
		for i, want := range []string{"81", "200", "1"} {
			ref := leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("t", i))}
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
			if err != nil || got.Status != history.Completed || string(got.Output) != want {
				t.Errorf("tree %+v: %v with output %s, want %s; %v, %+v", shapes[i], got.Status, got.Output, want, err, got.Failure)
			}
		}
	})
}

// A termination with recursion reaches children in all partitions.
func TestTerminateChildren(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		root := leader.InstanceRef{Hub: "default", ID: "root"}
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("tree", "root", branch{4, 2})); err != nil {
			t.Fatal(err)
		}
		var children []leader.InstanceRef
		page, err := w.nodes["a"].History(w.within(time.Minute), leader.HistoryRequest{Instance: root})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if b, ok := e.Body.(*history.SubOrchestrationInstanceCreated); ok {
				children = append(children, leader.InstanceRef{Hub: "default", ID: b.Instance})
			}
		}
		if len(children) != 4 {
			t.Fatalf("%d children: %v", len(children), page.Events)
		}
		err = w.nodes["b"].Terminate(w.within(time.Minute), leader.TerminateRequest{Instance: root, Reason: history.Payload(`"enough"`), Recurse: true})
		if err != nil {
			t.Fatal(err)
		}
		for _, ref := range children {
			got, err := leader.Instance{}, leader.ErrNotFound
			for ctx := w.within(time.Minute); errors.Is(err, leader.ErrNotFound) && ctx.Err() == nil; time.Sleep(10 * time.Millisecond) {
				// Its start may still be on its way; its end comes behind that.
				got, err = w.nodes["c"].Wait(ctx, leader.WaitRequest{Instance: ref, Ended: true})
			}
			if err != nil || got.Status != history.Terminated || got.Parent == nil || got.Parent.Instance != "root" {
				t.Errorf("child %s: %v of %+v, %v", ref.ID, got.Status, got.Parent, err)
			}
		}
	})
}
