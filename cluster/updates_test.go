package cluster

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	purse   = reprise.NewOrchestration[int, int]("purse")
	deposit = reprise.NewUpdate[int, int]("deposit")
	inspect = reprise.NewUpdate[int, string]("inspect")
	balance = reprise.NewQuery[reprise.None, int]("balance")
	errPoor = reprise.NewError("test.poor", "not enough")
)

// bindPurse binds an orchestration that holds a balance, which updates change, until
// it was inspected so many times. An inspect runs an activity before it is replied to.
func bindPurse(r *reprise.Registry) {
	reprise.Bind(r, purse, func(o *reprise.Orchestration, inspections int) (int, error) {
		total := 0
		balance.Handle(o, func(reprise.None) (int, error) { return total, nil })
		deposit.Check(o, func(n int) error {
			if total+n < 0 {
				return errPoor
			}
			return nil
		})
		deposit.Handle(o, func(n int) (int, error) {
			if n == 13 {
				panic("thirteen")
			}
			total += n
			return total, nil
		})
		for range inspections {
			asked, err := inspect.Receive(o).Await(o)
			if err != nil {
				return 0, err
			}
			node, err := work.Call(o, asked.In)
			asked.Reply(fmt.Sprintf("%d, said %s", total, node), err)
		}
		return total, o.WaitUntil(func() bool { return total >= 1000 })
	})
}

func (w *testWorld) update(n *Node, id, name, in, request string) (string, error) {
	w.t.Helper()
	r, err := n.Update(w.within(time.Minute), leader.UpdateRequest{
		Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(id)}, Name: name, Input: history.Payload(in),
		Identity: leader.RequestIdentity{ID: request, Sent: time.Now()},
	})
	if err == nil && r.Failure != nil {
		err = reprise.ErrorOf(reprise.JSON, r.Failure)
	}
	return string(r.Result), err
}

// Every update is done once, though it is asked for twice and nodes die meanwhile.
func TestUpdatesThroughCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		req := startOf("purse", "acc", 1)
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
			t.Fatal(err)
		}
		const count = 30
		for i := range count {
			switch i {
			case 8:
				w.crash("b")
			case 16:
				w.start("b", 3)
				w.ready()
			case 20:
				w.crash("c")
			}
			sent := time.Now()
			for range 2 {
				r, err := w.nodes["a"].Update(w.within(time.Minute), leader.UpdateRequest{
					Instance: req.Instance, Name: "deposit", Input: history.Payload("10"), Identity: leader.RequestIdentity{ID: fmt.Sprint("d", i), Sent: sent},
				})
				if err != nil || string(r.Result) != fmt.Sprint(10*(i+1)) {
					t.Fatalf("deposit %d: %s, %+v, %v", i, r.Result, r.Failure, err)
				}
			}
		}
		w.start("c", 3)
		w.ready()
		a := w.nodes["a"]
		if _, err := w.update(a, "acc", "deposit", "-1000", "poor"); !errors.Is(err, errPoor) {
			t.Errorf("a check that refuses: %v", err)
		}
		if _, err := w.update(a, "acc", "deposit", "13", "panic"); err == nil || !strings.Contains(err.Error(), "thirteen") {
			t.Errorf("a handler that panics: %v", err)
		}
		if _, err := w.update(a, "acc", "withdraw", "1", "nothing"); err == nil || !strings.Contains(err.Error(), "it handles deposit, inspect") {
			t.Errorf("an update that nothing handles: %v", err)
		}
		// The leader dies while an activity of the inspect runs: the caller waits on.
		d := w.eventually(a, "leaders are spread", spreadAsPreferred)
		leads := ""
		p, _ := a.partitionOf(req.Instance)
		for _, x := range d.Partitions {
			if x.ID == p {
				leads = x.Leader
			}
		}
		by := a
		if leads == "a" {
			by = w.nodes["b"]
		}
		time.AfterFunc(time.Second, func() { w.network.Crash(peer.NodeID(leads)) })
		inspected, err := w.update(by, "acc", "inspect", "3000", "inspect")
		if err != nil || !strings.HasPrefix(inspected, `"300, said `) {
			t.Errorf("inspect: %s, %v", inspected, err)
		}
		if got, err := w.ask(by, "acc", "balance"); got != 300 || err != nil {
			t.Errorf("balance: %d, %v", got, err)
		}
		if got, err := w.update(by, "acc", "deposit", "700", "last"); got != "1000" || err != nil {
			t.Errorf("the last deposit: %s, %v", got, err)
		}
		if _, err := w.update(by, "acc", "deposit", "1", "late"); err == nil || !strings.Contains(err.Error(), "ended") {
			t.Errorf("after the end: %v", err)
		}
	})
}
