package reprise_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// account is the state of the entities of these tests.
type account struct {
	Balance int
	Notes   []string // what is not copied with the value
}

var (
	accounts = reprise.NewEntity[account]("Account")
	deposit  = reprise.NewOperation[int, int](accounts, "deposit")
	withdraw = reprise.NewOperation[int, int](accounts, "Withdraw")
	misuse   = reprise.NewOperation[string, reprise.None](accounts, "misuse")
	forget   = reprise.NewOperation[reprise.None, reprise.None](accounts, reprise.DeleteOperation)

	errFunds = reprise.NewError("test.funds", "insufficient funds")
)

// bank binds the operations of accounts.
func bank(r *reprise.Registry) {
	reprise.Bind(r, deposit, func(_ *reprise.EntityContext, a *account, n int) (int, error) {
		a.Balance += n
		a.Notes = append(a.Notes, fmt.Sprint("+", n))
		return a.Balance, nil
	})
	reprise.Bind(r, withdraw, func(e *reprise.EntityContext, a *account, n int) (int, error) {
		a.Balance -= n // also where it fails: it is as if it had not happened
		if len(a.Notes) > 0 {
			a.Notes[0] = "spoiled"
		}
		if err := deposit.Signal(e, accounts.Key("bank"), 1); err != nil {
			return 0, err
		}
		if a.Balance < 0 {
			return 0, fmt.Errorf("account %s: %w", e.Key(), errFunds)
		}
		if len(a.Notes) > 0 {
			a.Notes[0] = fmt.Sprint("-", n)
		}
		return a.Balance, nil
	})
	reprise.Bind(r, misuse, func(e *reprise.EntityContext, a *account, how string) (reprise.None, error) {
		a.Balance = -1
		switch how {
		case "panic":
			panic("oh no")
		case "delete":
			e.Delete()
		case "funny":
			a.Notes = []string{strings.Repeat("x", history.MaxPayloadBytes)}
		case "chatter":
			for {
				if err := deposit.Signal(e, accounts.Key("bank"), 1); err != nil {
					return reprise.None{}, err
				}
			}
		}
		return reprise.None{}, nil
	})
}

// operate plays an entity for a call.
func (r *run) operate(t failer, e history.Event) history.Body {
	b := e.Body.(*history.EntityOperationCalled)
	result := r.do(t, b.Target, b.Operation, b.Input)
	if result.Failure != nil {
		return &history.EntityOperationFailed{TaskID: e.ID, Failure: result.Failure}
	}
	return &history.EntityOperationCompleted{TaskID: e.ID, Result: result.Result}
}

// signal plays an entity for a signal, and notes it.
func (r *run) signal(t failer, e history.Event) {
	b := e.Body.(*history.EntityOperationSignaled)
	text := fmt.Sprintf("%s %s %s", b.Target, b.Operation, b.Input)
	if !b.ScheduledTime.IsZero() {
		text += " after " + b.ScheduledTime.Sub(began).String()
	}
	r.signals = append(r.signals, text)
	r.do(t, b.Target, b.Operation, b.Input)
}

// do runs an operation; what it sends is only noted.
func (r *run) do(t failer, id history.InstanceID, operation string, input history.Payload) history.OperationResult {
	t.Helper()
	name, _ := id.Entity()
	code, ok := r.registry.Entity(name)
	if !ok {
		t.Fatalf("entity %s is not bound", name)
	}
	x := code.Begin(reprise.EntityInfo{Hub: "default", Entity: id, Execution: "e", Now: began}, r.entities[id])
	x.Do(operation, history.Trace{}, input)
	if r.entities == nil {
		r.entities = map[history.InstanceID]history.Payload{}
	}
	batch := x.Batch()
	if r.entities[id] = batch.State; batch.State == nil {
		delete(r.entities, id)
	}
	for _, e := range batch.Decided {
		r.signals = append(r.signals, history.Describe(e))
	}
	return batch.Results[0]
}

// banking returns a maker of registries with an orchestrator and the accounts.
func banking(fn func(o *reprise.Orchestration, n int) (any, error)) func() *reprise.Registry {
	return func() *reprise.Registry {
		r := with(fn)()
		bank(r)
		return r
	}
}

func TestOperations(t *testing.T) {
	a, b := accounts.Key("a"), accounts.Key("b")
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
		has  string // the state of a
	}{
		{"called", func(o *reprise.Orchestration, n int) (any, error) {
			if _, err := deposit.Call(o, a, 5); err != nil {
				return nil, err
			}
			return withdraw.Call(o, a, 2)
		}, "3", `{"Balance":3,"Notes":["-2"]}`},
		{"in parallel", func(o *reprise.Orchestration, n int) (any, error) {
			return reprise.All(o, deposit.Start(o, a, 1), deposit.Start(o, b, 2), deposit.Start(o, a, 3))
		}, "[1,2,4]", `{"Balance":4,"Notes":["+1","+3"]}`},
		{"a failure leaves nothing", func(o *reprise.Orchestration, n int) (any, error) {
			if _, err := deposit.Call(o, a, 5); err != nil {
				return nil, err
			}
			_, err := withdraw.Call(o, a, 7)
			return []any{errors.Is(err, errFunds), err.Error()}, nil
		}, `[true,"account a: insufficient funds"]`, `{"Balance":5,"Notes":["+5"]}`},
		{"a panic", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := misuse.Call(o, a, "panic")
			var p *reprise.PanicError
			return []any{errors.As(err, &p) && p.Value == "oh no" && strings.Contains(p.Stack, "entities_test.go"), strings.Contains(p.Stack, "try")}, nil
		}, `[true,false]`, ""},
		{"a state that is too large", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := misuse.Call(o, a, "funny")
			return []any{errors.Is(err, reprise.ErrTooLarge), reprise.IsNonRetryable(err)}, nil
		}, `[true,true]`, ""},
		{"too many signals", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := misuse.Call(o, a, "chatter")
			return errors.Is(err, reprise.ErrTooLarge), nil
		}, `true`, ""},
		{"deleted by an operation", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := deposit.Call(o, a, 1)
			_, err2 := misuse.Call(o, a, "delete")
			return nil, errors.Join(err, err2)
		}, "null", ""},
		{"deleted", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := deposit.Call(o, a, 1)
			_, err2 := forget.Call(o, a, reprise.None{})
			return nil, errors.Join(err, err2)
		}, "null", ""},
		{"no such operation", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.NewOperation[int, int](accounts, "audit").Call(o, a, 1)
			return []any{errors.Is(err, reprise.ErrNoOperation), err.Error()}, nil
		}, `[true,"the entity has no such operation: \"audit\" of entity \"account\""]`, ""},
		{"an input of another type", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.NewOperation[string, int](accounts, "deposit").Call(o, a, "x")
			var p *reprise.RemoteError
			return errors.As(err, &p) && strings.Contains(err.Error(), `input of operation "deposit" of entity "Account"`), nil
		}, `true`, ""},
		{"by name", func(o *reprise.Orchestration, n int) (any, error) {
			raw := reprise.NewEntity[reprise.Raw]("account")
			out, err := reprise.NewOperation[reprise.Raw, reprise.Raw](raw, "DEPOSIT").Call(o, raw.Key("a"), reprise.Raw("9"))
			return string(out), err
		}, `"9"`, `{"Balance":9,"Notes":["+9"]}`},
		{"signaled", func(o *reprise.Orchestration, n int) (any, error) {
			err := deposit.Signal(o, a, 4)
			return nil, errors.Join(err, deposit.Signal(o, b, 5, reprise.SignalAt(o.Now().Add(time.Hour))))
		}, "null", `{"Balance":4,"Notes":["+4"]}`},
		{"canceled", func(o *reprise.Orchestration, n int) (any, error) {
			f := deposit.Start(o, a, 4)
			f.Cancel(o)
			_, err := f.Await(o)
			return errors.Is(err, reprise.ErrCanceled), nil
		}, "true", ""},
		{"retried", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := withdraw.Call(o, a, 1, reprise.Retry(3, time.Minute))
			return []any{errors.Is(err, errFunds), o.Now().Sub(began).String()}, nil
		}, `[true,"3m0s"]`, ""},
		{"retried by a handler", func(o *reprise.Orchestration, n int) (any, error) {
			return withdraw.Call(o, a, 1, reprise.RetryWith(func(c reprise.RetryContext) (time.Duration, bool) {
				return 0, c.Attempt < 3 && errors.Is(c.Err, errFunds) && deposit.Signal(o, a, 1) == nil
			}))
		}, `0`, `{"Balance":0,"Notes":["-1"]}`},
		{"wrong keys", func(o *reprise.Orchestration, n int) (any, error) {
			var invalid *history.InvalidIDError
			_, slash := deposit.Call(o, accounts.Key("a/b"), 1)
			signal := deposit.Signal(o, accounts.Key(strings.Repeat("k", 200)), 1)
			_, at := reprise.NewOperation[int, int](reprise.NewEntity[account]("a@b"), "deposit").Call(o, reprise.NewEntity[account]("a@b").Key("k"), 1)
			_, zero := deposit.Call(o, reprise.EntityRef[account]{}, 1)
			_, other := deposit.Call(o, reprise.NewEntity[account]("other").Key("k"), 1)
			return []any{errors.As(slash, &invalid), errors.As(signal, &invalid), errors.As(at, &invalid), errors.As(zero, &invalid), other.Error()}, nil
		}, `[true,true,true,true,"call operation \"deposit\" of @other@k: the operation is one of entity \"Account\""]`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, banking(c.fn), "test", "7")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
			if c.name == "canceled" {
				return // whether it runs is up to the entity
			}
			if got := string(r.entities[a.ID()]); got != c.has {
				t.Errorf("the state is %s, want %s", got, c.has)
			}
		})
	}
}

// What an operation sends leaves with it, in order, and with IDs that go on.
func TestOperationsSend(t *testing.T) {
	child := reprise.NewOrchestration[int, int]("child")
	busy := reprise.NewEntity[int]("busy")
	op := reprise.NewOperation[int, history.InstanceID](busy, "op")
	var leaked *reprise.EntityContext
	r := reprise.NewRegistry()
	reprise.Bind(r, op, func(e *reprise.EntityContext, _ *int, n int) (history.InstanceID, error) {
		leaked = e
		err := op.Signal(e, busy.Key("next"), n, reprise.SignalAt(e.Now().Add(time.Minute)))
		id, err2 := child.StartDetached(e, n)
		chosen, err3 := child.StartDetached(e, n, reprise.ChildID("mine"))
		if n == 2 {
			err = errors.Join(err, errors.New("no"))
		}
		return id, errors.Join(err, err2, err3, approved.Send(e, chosen, decision{OK: true}))
	})
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	code, _ := r.Entity("Busy")
	x := code.Begin(reprise.EntityInfo{Hub: "default", Entity: busy.Key("a").ID(), Execution: "00ff", Now: began, NextID: 7}, nil)
	for _, n := range []string{"1", "2", "3"} {
		x.Do("op", history.Trace{Parent: "trace " + n, State: "a=" + n}, history.Payload(n))
	}
	batch := x.Batch()
	var got []string
	var traces []history.Trace
	for _, e := range batch.Decided {
		got = append(got, history.Describe(e))
		traces = append(traces, *history.TraceOf(e.Body))
	}
	if of1, of3 := (history.Trace{Parent: "trace 1", State: "a=1"}), (history.Trace{Parent: "trace 3", State: "a=3"}); !slices.Equal(traces, []history.Trace{of1, of1, of1, of1, of3, of3, of3, of3}) {
		t.Errorf("what operations send is of the traces %q", traces)
	}
	want := []string{
		`#7 EntityOperationSignaled "op" entity="@busy@next" input=1 scheduled=2026-01-01T00:01:00Z`,
		`#8 SubOrchestrationInstanceCreated "child" instance="00ff:0008" input=1 detached`,
		`#9 SubOrchestrationInstanceCreated "child" instance="mine" input=1 detached`,
		`#10 EventSent "approved" instance="mine" input={"OK":true,"By":""}`,
		`#11 EntityOperationSignaled "op" entity="@busy@next" input=3 scheduled=2026-01-01T00:01:00Z`,
		`#12 SubOrchestrationInstanceCreated "child" instance="00ff:000c" input=3 detached`,
		`#13 SubOrchestrationInstanceCreated "child" instance="mine" input=3 detached`,
		`#14 EventSent "approved" instance="mine" input={"OK":true,"By":""}`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if len(batch.Results) != 3 || batch.Results[1].Failure == nil || string(batch.Results[2].Result) != `"00ff:000c"` {
		t.Errorf("results %+v", batch.Results)
	}
	// Where the entity that it signals has no room, an operation fails and leaves nothing.
	x = code.Begin(reprise.EntityInfo{Hub: "default", Entity: busy.Key("a").ID(), Now: began, Crowded: []history.InstanceID{busy.Key("next").ID()}}, nil)
	x.Do("op", history.Trace{}, history.Payload("1"))
	if b := x.Batch(); len(b.Decided) > 0 || b.State != nil || b.Results[0].Failure == nil || !strings.Contains(b.Results[0].Failure.Message, "entity @busy@next has no room") {
		t.Errorf("signaled who has no room: %+v", b)
	}
	if err := op.Signal(leaked, busy.Key("next"), 1); err == nil || len(x.Batch().Decided) > 0 {
		t.Errorf("signaled after its end: %v", err)
	}
}

func TestEntityContext(t *testing.T) {
	seen := reprise.NewEntity[map[string]int]("seen")
	look := reprise.NewOperation[string, []any](seen, "look")
	r := reprise.NewRegistry()
	reprise.Bind(r, look, func(e *reprise.EntityContext, s *map[string]int, key string) ([]any, error) {
		if *s == nil {
			*s = map[string]int{}
		}
		(*s)[key]++
		first, second := e.NewID(), e.NewID()
		return []any{e.ID(), e.Key(), e.TaskHub(), e.Operation(), e.Trace().Parent, e.Exists(), e.Now().Equal(began), len(first), first != second}, nil
	})
	code, _ := r.Entity("seen")
	x := code.Begin(reprise.EntityInfo{Hub: "h", Entity: seen.Key("k@2").ID(), Now: began}, nil)
	x.Do("Look", history.Trace{Parent: "traced"}, history.Payload(`"x"`))
	x.Do("look", history.Trace{}, history.Payload(`"x"`))
	x.Do("Delete", history.Trace{}, nil)
	x.Do("look", history.Trace{}, history.Payload(`"y"`))
	batch := x.Batch()
	for i, want := range []string{
		`["@seen@k@2","k@2","h","Look","traced",false,true,36,true]`,
		`["@seen@k@2","k@2","h","look","",true,true,36,true]`,
		``,
		`["@seen@k@2","k@2","h","look","",false,true,36,true]`,
	} {
		if got := string(batch.Results[i].Result); got != want || batch.Results[i].Failure != nil {
			t.Errorf("result %d: %s, %+v, want %s", i, got, batch.Results[i].Failure, want)
		}
	}
	if string(batch.State) != `{"y":1}` {
		t.Errorf("state %s", batch.State)
	}
}

// A state that the code cannot read fails the operations and stays; it can be deleted.
func TestUnreadableState(t *testing.T) {
	r := reprise.NewRegistry()
	bank(r)
	code, _ := r.Entity("account")
	x := code.Begin(reprise.EntityInfo{Entity: "@account@a"}, history.Payload(`[1]`))
	x.Do("deposit", history.Trace{}, history.Payload(`1`))
	if b := x.Batch(); b.Results[0].Failure == nil || !strings.Contains(b.Results[0].Failure.Message, `state of entity "account"`) || string(b.State) != `[1]` {
		t.Errorf("%+v, state %s", b.Results, b.State)
	}
	x.Do("delete", history.Trace{}, nil)
	x.Do("deposit", history.Trace{}, history.Payload(`1`))
	if b := x.Batch(); b.Results[2].Failure != nil || string(b.State) != `{"Balance":1,"Notes":["+1"]}` {
		t.Errorf("%+v, state %s", b.Results, b.State)
	}
}

func TestBindOperations(t *testing.T) {
	fn := func(*reprise.EntityContext, *account, int) (int, error) { return 0, nil }
	other := reprise.NewOperation[int, int](reprise.NewEntity[string]("ACCOUNT"), "other")
	channels := reprise.NewOperation[int, int](reprise.NewEntity[chan int]("channels"), "op")
	for _, c := range []struct {
		want string
		bind func(*reprise.Registry)
	}{
		{`bind operation "DEPOSIT" of entity "Account": the name is bound already`, func(r *reprise.Registry) {
			reprise.Bind(r, reprise.NewOperation[int, int](accounts, "DEPOSIT"), fn)
		}},
		{`bind operation "x" of entity "Account": the function is nil`, func(r *reprise.Registry) {
			reprise.Bind(r, reprise.NewOperation[int, int](accounts, "x"), nil)
		}},
		{`bind operation "" of entity "Account": the name is empty`, func(r *reprise.Registry) {
			reprise.Bind(r, reprise.NewOperation[int, int](accounts, ""), fn)
		}},
		{`bind operation "x" of entity "a@b": the name of an entity is not empty and has no @`, func(r *reprise.Registry) {
			reprise.Bind(r, reprise.NewOperation[int, int](reprise.NewEntity[account]("a@b"), "x"), fn)
		}},
		{`bind operation "other" of entity "ACCOUNT": the state is a string here, and a reprise_test.account for what was bound before`, func(r *reprise.Registry) {
			reprise.Bind(r, other, func(*reprise.EntityContext, *string, int) (int, error) { return 0, nil })
		}},
		{`bind operation "op" of entity "channels": json: unsupported type: chan int`, func(r *reprise.Registry) {
			reprise.Bind(r, channels, func(*reprise.EntityContext, *chan int, int) (int, error) { return 0, nil })
		}},
		{`bind operation "x" of entity "Account": retry policy with 0 attempts; there must be at least 1`, func(r *reprise.Registry) {
			reprise.Bind(r, reprise.NewOperation[int, int](accounts, "x", reprise.Retry(0, 0)), fn)
		}},
	} {
		r := reprise.NewRegistry()
		bank(r)
		c.bind(r)
		if err := r.Err(); err == nil || err.Error() != c.want {
			t.Errorf("%v, want %s", err, c.want)
		}
		if got := r.Entities(); !slices.Equal(got, []string{"account"}) {
			t.Errorf("bound %v", got)
		}
	}
}

func TestEntityRefIsText(t *testing.T) {
	type transfer struct {
		From, To reprise.EntityRef[account]
		Fees     map[reprise.EntityRef[account]]int
	}
	in := transfer{From: accounts.Key("A"), Fees: map[reprise.EntityRef[account]]int{accounts.Key("b"): 1}}
	data, err := reprise.JSON.Encode(in)
	if err != nil || string(data) != `{"From":"@account@A","To":"","Fees":{"@account@b":1}}` {
		t.Fatalf("%s, %v", data, err)
	}
	var out transfer
	if err := reprise.JSON.Decode(data, &out); err != nil || out.From != in.From || out.Fees[accounts.Key("b")] != 1 || out.From.Key() != "A" {
		t.Errorf("%+v, %v", out, err)
	}
	if err := reprise.JSON.Decode([]byte(`{"From":"order-42"}`), &out); err == nil {
		t.Error("an orchestration's ID is taken for an entity's")
	}
}

// Tags count towards what one operation may send.
func TestOperationSendsTags(t *testing.T) {
	r := reprise.NewRegistry()
	e := reprise.NewEntity[int]("starter")
	begin := reprise.NewOperation[reprise.None, reprise.None](e, "begin")
	child := reprise.NewOrchestration[reprise.None, reprise.None]("child")
	started := 0
	reprise.Bind(r, begin, func(e *reprise.EntityContext, _ *int, _ reprise.None) (reprise.None, error) {
		for {
			tags := reprise.ChildTags(map[string]string{"t": strings.Repeat("x", history.MaxTagsBytes-1)})
			if _, err := child.StartDetached(e, reprise.None{}, tags); err != nil {
				return reprise.None{}, err
			}
			started++
		}
	})
	code, _ := r.Entity("starter")
	run := code.Begin(reprise.EntityInfo{Entity: e.Key("a").ID(), Execution: "ff"}, nil)
	run.Do("begin", history.Trace{}, nil)
	b := run.Batch()
	if err := reprise.ErrorOf(reprise.JSON, b.Results[0].Failure); !errors.Is(err, reprise.ErrTooLarge) || started > history.MaxPayloadBytes/history.MaxTagsBytes || len(b.Decided) > 0 {
		t.Errorf("started %d, then %v; %d leave", started, err, len(b.Decided))
	}
}
