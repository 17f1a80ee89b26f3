package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	adder  = reprise.NewOrchestration[int, int]("adder")
	sum    = reprise.NewQuery[reprise.None, int]("sum")
	errOdd = reprise.NewError("test.odd", "the sum is odd")
	even   = reprise.NewQuery[reprise.None, int]("even")
)

// answerSum lets an orchestration answer what its sum is.
func answerSum(o *reprise.Orchestration, n *int) {
	sum.Handle(o, func(reprise.None) (int, error) { return *n, nil })
	even.Handle(o, func(reprise.None) (int, error) {
		if *n%2 != 0 {
			return 0, errOdd
		}
		return *n, nil
	})
}

// bindAsked binds an orchestration that adds the items that it gets until it has so
// many.
func bindAsked(r *reprise.Registry) {
	reprise.Bind(r, adder, func(o *reprise.Orchestration, want int) (int, error) {
		total := 0
		answerSum(o, &total)
		for range want {
			n, err := item.Await(o)
			if err != nil {
				return 0, err
			}
			total += n
		}
		return total, nil
	})
}

// ask asks an instance by way of a node.
func (w *testWorld) ask(n *Node, id, query string) (int, error) {
	w.t.Helper()
	a, err := n.Query(w.within(time.Minute), leader.QueryRequest{Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(id)}, Name: query})
	if err != nil {
		return 0, err
	}
	if a.Failure != nil {
		return 0, reprise.ErrorOf(reprise.JSON, a.Failure)
	}
	got := 0
	if err := json.Unmarshal(a.Result, &got); err != nil {
		w.t.Fatal(err)
	}
	return got, nil
}

// A query that is asked when an event is committed sees it, whoever leads; none leaves
// a trace.
func TestQueriesThroughCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		const count = 40
		req := startOf("adder", "s", count)
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
			t.Fatal(err)
		}
		for i := range count {
			switch i {
			case 10:
				w.crash("b")
			case 20:
				w.start("b", 3)
				w.ready()
			case 25:
				w.crash("c")
			}
			raise := leader.RaiseRequest{Instance: req.Instance, Name: "item", Data: history.Payload("1"), Identity: leader.RequestIdentity{ID: "e" + string(rune('A'+i)), Sent: time.Now()}}
			if err := w.nodes["a"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatalf("raise %d: %v", i, err)
			}
			if got, err := w.ask(w.nodes["a"], "s", "sum"); got != i+1 || err != nil {
				t.Errorf("after %d events: %d, %v", i+1, got, err)
			}
			if _, err := w.ask(w.nodes["a"], "s", "even"); errors.Is(err, errOdd) != (i%2 == 0) {
				t.Errorf("after %d events: %v", i+1, err)
			}
		}
		if got, err := w.ask(w.nodes["a"], "s", "sum"); got != count || err != nil {
			t.Errorf("after the end: %d, %v", got, err)
		}
		if _, err := w.ask(w.nodes["a"], "s", "nonsense"); !errors.Is(err, leader.ErrNoHandler) || !strings.Contains(err.Error(), "it handles even, sum") {
			t.Errorf("a query that nothing handles: %v", err)
		}
		if _, err := w.ask(w.nodes["a"], "nobody", "sum"); !errors.Is(err, leader.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		in, err := w.nodes["a"].Status(w.within(time.Minute), leader.StatusRequest{Instance: req.Instance})
		if err != nil || in.HistoryEvents > 2*count+3 {
			t.Errorf("%d events of history for %d items, %v", in.HistoryEvents, count, err)
		}
	})
}

// Who was ended by the server, without his code, can be asked: a query is answered from
// where the code stood, or says what happened before it began.
func TestQueryOfWhatTheServerEnded(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 1, "adder")
		w.ready()
		n := w.nodes["a"]
		for _, c := range []struct {
			id, says string
			end      func(leader.InstanceRef) error
		}{
			{"c", "canceled before it began: a mistake", func(ref leader.InstanceRef) error {
				return n.Cancel(w.within(time.Minute), leader.CancelRequest{Instance: ref, Reason: "a mistake"})
			}},
			{"t", "terminated before", func(ref leader.InstanceRef) error {
				return n.Terminate(w.within(time.Minute), leader.TerminateRequest{Instance: ref})
			}},
		} {
			req := startOf("adder", c.id, 3)
			req.ScheduledStart = time.Now().Add(time.Hour)
			if _, err := n.StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			if err := c.end(req.Instance); err != nil {
				t.Fatal(err)
			}
			if _, err := w.ask(n, c.id, "sum"); !errors.Is(err, leader.ErrNoHandler) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%q: %v", c.says, err)
			}
		}
	})
}

// Where the leader's node does not bind the name, a node that does is asked.
func TestQueryOnAnotherNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 3, "rare")
		w.start("b", 3)
		w.start("c", 3)
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		for _, id := range []string{"r1", "r2", "r3", "r4", "r5", "r6"} {
			req := startOf("rare", id, -7)
			if _, err := w.nodes["b"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			if _, err := w.nodes["b"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: req.Instance}); err != nil {
				t.Fatal(err)
			}
			if got, err := w.ask(w.nodes["c"], id, "sum"); got != -7 || err != nil {
				t.Errorf("%s: %d, %v", id, got, err)
			}
		}
		w.crash("a")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var err error
		for ctx.Err() == nil && !errors.Is(err, leader.ErrUnbound) { // until its death is known
			time.Sleep(100 * time.Millisecond)
			_, err = w.ask(w.nodes["c"], "r1", "sum")
		}
		if !errors.Is(err, leader.ErrUnbound) {
			t.Errorf("nobody binds it: %v", err)
		}
	})
}
