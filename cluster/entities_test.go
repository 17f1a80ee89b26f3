package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	tally = reprise.NewEntity[int]("tally")
	add   = reprise.NewOperation[int, int](tally, "add")
	count = reprise.NewOrchestration[string, int]("count")

	account  = reprise.NewEntity[int]("account")
	change   = reprise.NewOperation[int, int](account, "change")
	transfer = reprise.NewOrchestration[payment, reprise.None]("transfer")
	audit    = reprise.NewOrchestration[int, int]("audit")
	holdup   = reprise.NewOrchestration[int, reprise.None]("holdup")

	scarce = reprise.NewEntity[[]string]("scarce")
	note   = reprise.NewOperation[string, int](scarce, "note")
	take   = reprise.NewOrchestration[string, int]("take")

	errFunds = reprise.NewError("test.funds", "insufficient funds")
)

type payment struct{ From, To, Amount int }

func accountOf(n int) reprise.EntityRef[int] { return account.Key(fmt.Sprint(n)) }

// accounts is how many accounts the bank has.
const accounts = 6

// bindEntities binds entities and the orchestrations that use them.
func bindEntities(r *reprise.Registry, all bool) {
	reprise.Bind(r, add, func(e *reprise.EntityContext, n *int, by int) (int, error) {
		*n += by
		if e.Key() != "total" {
			return *n, add.Signal(e, tally.Key("total"), by)
		}
		return *n, nil
	})
	reprise.Bind(r, count, func(o *reprise.Orchestration, key string) (int, error) {
		for range 5 {
			if _, err := add.Call(o, tally.Key(key), 1); err != nil {
				return 0, err
			}
		}
		return add.Call(o, tally.Key(key), 0)
	})
	reprise.Bind(r, change, func(_ *reprise.EntityContext, n *int, by int) (int, error) {
		if *n += by; *n < 0 {
			return 0, errFunds
		}
		return *n, nil
	})
	reprise.Bind(r, transfer, func(o *reprise.Orchestration, p payment) (reprise.None, error) {
		from, to := accountOf(p.From), accountOf(p.To)
		return reprise.None{}, reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
			if _, err := reprise.Do(s, from, change, -p.Amount); err != nil {
				return err
			}
			_, err := reprise.Do(s, to, change, p.Amount)
			return err
		})
	})
	reprise.Bind(r, audit, func(o *reprise.Orchestration, n int) (sum int, err error) {
		var all []reprise.EntityReference
		for i := range n {
			all = append(all, accountOf(i))
		}
		err = reprise.Critical(o, reprise.Lock(all...), func(s *reprise.Section) error {
			var balances []reprise.Future[int]
			for i := range n {
				balances = append(balances, reprise.StartIn(s, accountOf(i), change, 0))
			}
			values, err := reprise.All(o, balances...)
			for _, v := range values {
				sum += v
			}
			return err
		})
		return sum, err
	})
	reprise.Bind(r, holdup, func(o *reprise.Orchestration, n int) (reprise.None, error) {
		return reprise.None{}, reprise.Critical(o, reprise.Lock(accountOf(n), accountOf(n+1)), func(*reprise.Section) error {
			_, err := item.Await(o)
			return err
		})
	})
	reprise.Bind(r, take, func(o *reprise.Orchestration, text string) (int, error) { return note.Call(o, scarce.Key("s"), text) })
	if all {
		reprise.Bind(r, note, func(_ *reprise.EntityContext, s *[]string, text string) (int, error) {
			if text == "" {
				return 0, errors.New("nothing to note")
			}
			*s = append(*s, text)
			return len(*s), nil
		})
	}
}

func entityRef(id history.InstanceID) leader.InstanceRef {
	return leader.InstanceRef{Hub: "default", ID: id}
}

// requestNow is the identity of a request that is sent for the first time.
func requestNow(id ...any) leader.RequestIdentity {
	return leader.RequestIdentity{ID: fmt.Sprint(id...), Sent: time.Now()}
}

// signal signals an entity by way of one of the nodes that run.
func (w *testWorld) signal(by *Node, e history.InstanceID, operation string, input any, request leader.RequestIdentity) {
	w.t.Helper()
	data, err := json.Marshal(input)
	if err == nil {
		err = by.Signal(w.within(time.Minute), leader.SignalRequest{
			Entity: entityRef(e), Operation: operation, Input: data, Identity: request,
		})
	}
	if err != nil {
		w.t.Errorf("signal %s: %v", e, err)
	}
}

// settled waits until an entity has a state like that, and nothing to do.
func (w *testWorld) settled(by *Node, id history.InstanceID, ok func(leader.Entity) bool) leader.Entity {
	w.t.Helper()
	var e leader.Entity
	var err error
	for ctx := w.within(time.Minute); ctx.Err() == nil; time.Sleep(50 * time.Millisecond) {
		if e, err = by.Entity(ctx, leader.EntityStatusRequest{Entity: entityRef(id), State: true}); err == nil && ok(e) {
			return e
		}
	}
	w.t.Errorf("entity %s does not become what it should be: %+v with state %s, %v", id, e, e.State, err)
	return e
}

func hasState(text string) func(leader.Entity) bool {
	return func(e leader.Entity) bool { return string(e.State) == text && e.Backlog == 0 }
}

// Every signal of a client with a request ID, every call of an orchestration and every
// signal of an entity counts once, through the deaths of nodes.
func TestEntitiesThroughCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		const keys, each = 5, 20
		by := w.nodes["a"] // which lives on
		var wg sync.WaitGroup
		for key := range keys {
			e := tally.Key(fmt.Sprint(key))
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("count", fmt.Sprint("count", key), e.Key())); err != nil {
				t.Fatal(err)
			}
			wg.Go(func() {
				for i := range each {
					request := requestNow(key, " ", i)
					w.signal(by, e.ID(), "add", 1, request)
					w.signal(by, e.ID(), "add", 1, request)                  // the same, however long the first took
					time.Sleep(time.Duration(rand.N(60)) * time.Millisecond) // so that the crashes come between any two of them
				}
			})
		}
		time.Sleep(200 * time.Millisecond) // they are in the middle of it
		w.crash("b")
		time.Sleep(4 * time.Second) // until others lead what it led
		w.start("b", 3)
		w.crash("c")
		wg.Wait()
		for key := range keys {
			id := history.InstanceID(fmt.Sprint("count", key))
			got, err := w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: entityRef(id), Ended: true, Payloads: true})
			if err != nil || got.Status != history.Completed {
				t.Errorf("%s is %v, %v, %+v", id, got.Status, err, got.Failure)
			}
			w.settled(w.nodes["b"], tally.Key(fmt.Sprint(key)).ID(), hasState(fmt.Sprint(each+5)))
		}
		w.settled(w.nodes["a"], tally.Key("total").ID(), hasState(fmt.Sprint(keys*(each+5))))
	})
}

// Transfers in critical sections keep the sum, whatever dies meanwhile, and an
// orchestration that is terminated inside gives its locks up.
func TestBankThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		for i := range accounts {
			w.signal(w.nodes["a"], accountOf(i).ID(), "change", 100, requestNow("open ", i))
		}
		var started []history.InstanceID
		begin := func(name, id string, input any) {
			t.Helper()
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf(name, id, input)); err != nil {
				t.Fatal(err)
			}
			started = append(started, history.InstanceID(id))
		}
		audits := 0
		for i := range 60 {
			begin("transfer", fmt.Sprint("t", i), payment{rand.N(accounts), rand.N(accounts), rand.N(150)})
			switch i {
			case 10:
				begin("holdup", "h", 1)
			case 20:
				w.crash("b")
			case 40:
				// It is in its section, or waits for it; that must not matter.
				if err := w.nodes["c"].Terminate(w.within(time.Minute), leader.TerminateRequest{Instance: entityRef("h")}); err != nil {
					t.Fatal(err)
				}
			}
			if i%15 == 5 {
				begin("audit", fmt.Sprint("sum", audits), accounts)
				audits++
			}
			time.Sleep(5 * time.Millisecond) // so that the crash comes in the middle of some
		}
		refused := 0
		for _, id := range started {
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: entityRef(id), Ended: true, Payloads: true})
			switch {
			case err != nil:
				t.Errorf("%s: %v, %v waits for %v", id, err, got.Status, got.Waiting)
			case id == "h" && got.Status == history.Terminated:
			case id[0] == 't' && got.Status == history.Failed && got.Failure.Code == errFunds.ErrorCode():
				refused++
			case got.Status != history.Completed:
				t.Errorf("%s is %v: %+v", id, got.Status, got.Failure)
			case id[0] == 's' && string(got.Output) != fmt.Sprint(100*accounts):
				t.Errorf("%s is %s", id, got.Output)
			}
		}
		if refused == 0 || refused == 60 {
			t.Errorf("%d of 60 transfers were refused; the test shows too little", refused)
		}
		sum := 0
		for i := range accounts {
			e := w.settled(w.nodes["c"], accountOf(i).ID(), func(e leader.Entity) bool { return e.LockedBy == "" && e.Backlog == 0 })
			var n int
			if err := json.Unmarshal(e.State, &n); err != nil {
				t.Error(err)
			}
			sum += n
		}
		if sum != 100*accounts {
			t.Errorf("the sum is %d, want %d", sum, 100*accounts)
		}
	})
}

// An entity runs on a node that binds it, wherever its partition is led.
func TestEntityOfOneNode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b"} {
			w.start(n, 3)
		}
		w.start("c", 3, "rare")
		w.ready()
		var got []string
		for i := range 4 {
			in := w.run(w.nodes["a"], w.nodes["b"], startOf("take", fmt.Sprint("take", i), fmt.Sprint("n", i)))
			got = append(got, string(in.Output))
		}
		if fmt.Sprint(got) != "[1 2 3 4]" {
			t.Errorf("noted as %v", got)
		}
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("take", "none", "")); err != nil {
			t.Fatal(err)
		}
		in, err := w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: entityRef("none"), Ended: true, Payloads: true})
		if err != nil || in.Failure == nil || in.Failure.Message != "nothing to note" {
			t.Errorf("a failure is %+v, %v", in.Failure, err)
		}
		w.crash("c")
		w.signal(w.nodes["a"], scarce.Key("s").ID(), "note", "later", requestNow("later"))
		e, err := w.nodes["b"].Entity(w.within(time.Minute), leader.EntityStatusRequest{Entity: entityRef(scarce.Key("s").ID()), State: true})
		if err != nil || string(e.State) != `["n0","n1","n2","n3"]` || e.Backlog != 1 {
			t.Errorf("while nobody binds it: %+v with state %s, %v", e, e.State, err)
		}
		w.start("c", 3, "rare")
		w.settled(w.nodes["a"], scarce.Key("s").ID(), hasState(`["n0","n1","n2","n3","later"]`))
	})
}

// A list goes through all partitions, page by page, and finds each entity once.
func TestListEntities(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		const count = 40
		for i := range count {
			w.signal(w.nodes["a"], tally.Key(fmt.Sprint("k", i)).ID(), "add", i, requestNow("k", i))
		}
		w.signal(w.nodes["a"], accountOf(1).ID(), "change", 5, requestNow("other"))
		for i := range count {
			w.settled(w.nodes["a"], tally.Key(fmt.Sprint("k", i)).ID(), hasState(fmt.Sprint(i)))
		}
		for _, limit := range []int{1, 7, 0} {
			found, pages := map[history.InstanceID]string{}, 0
			for q := (EntitiesQuery{Hub: "default", Prefix: "@tally@k", State: true, Limit: limit}); ; pages++ {
				list, err := w.nodes["b"].Entities(w.within(time.Minute), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, e := range list.Entities {
					if found[e.Ref.ID] != "" {
						t.Errorf("%s comes twice", e.Ref.ID)
					}
					found[e.Ref.ID] = string(e.State)
				}
				if limit > 0 && len(list.Entities) > limit {
					t.Errorf("a page of %d, at most %d are wanted", len(list.Entities), limit)
				}
				if q.Token = list.Token; q.Token == "" {
					break
				}
			}
			for i := range count {
				if id := tally.Key(fmt.Sprint("k", i)).ID(); found[id] != fmt.Sprint(i) {
					t.Errorf("limit %d: %s has the state %q", limit, id, found[id])
				}
			}
			if len(found) != count || limit > 0 && pages < count/limit-1 {
				t.Errorf("limit %d: %d entities in %d pages", limit, len(found), pages)
			}
		}
		if _, err := w.nodes["a"].Entities(w.within(time.Minute), EntitiesQuery{Hub: "default", Token: "?"}); !errors.Is(err, leader.ErrInvalid) {
			t.Errorf("a token that is none: %v", err)
		}
		if list, err := w.nodes["a"].Entities(w.within(time.Minute), EntitiesQuery{Hub: "other"}); err != nil || len(list.Entities) != 0 {
			t.Errorf("another task hub: %+v, %v", list, err)
		}
	})
}

// What crosses to another node comes back as it was.
func TestOperationsOnTheWire(t *testing.T) {
	for _, want := range []history.Batch{
		{Results: []history.OperationResult{{}}},
		{State: history.Payload{}, Results: []history.OperationResult{{Result: history.Payload{}}, {Failure: &history.Failure{Message: "no"}}},
			Decided: []history.Event{{ID: 7, Body: &history.EventSent{Instance: "i", Name: "e"}}}},
	} {
		sent, err := msgpack.Marshal(answerOf(want))
		if err != nil {
			t.Fatal(err)
		}
		var came operationsAnswer
		if err := msgpack.Unmarshal(sent, &came); err != nil {
			t.Fatal(err)
		}
		got, err := came.batch()
		if err != nil || fmt.Sprintf("%#v %#v", got.State, got.Results[0]) != fmt.Sprintf("%#v %#v", want.State, want.Results[0]) ||
			len(got.Results) != len(want.Results) || len(got.Decided) != len(want.Decided) {
			t.Errorf("%#v came back as %#v, %v", want, got, err)
		}
	}
	odd := operationsAnswer{Results: history.EncodeEvents([]history.Event{{Body: history.OrchestratorStarted{}}})}
	if _, err := odd.batch(); err == nil {
		t.Error("what is no result was taken for one")
	}
}
