package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	counter = reprise.NewEntity[int]("counter")
	add     = reprise.NewOperation[int, int](counter, "add")
	fail    = reprise.NewOperation[string, reprise.None](counter, "fail")
	hang    = reprise.NewOperation[reprise.None, reprise.None](counter, "hang")
	long    = reprise.NewOperation[int, string](counter, "long")
)

// entities returns an executor of counters whose operation "hang" waits for gate.
func entities(gate chan struct{}, o Options) *Entities {
	r := reprise.NewRegistry()
	reprise.Bind(r, add, func(e *reprise.EntityContext, n *int, by int) (int, error) {
		*n += by
		return *n, add.Signal(e, counter.Key("total"), by)
	})
	reprise.Bind(r, fail, func(_ *reprise.EntityContext, n *int, how string) (reprise.None, error) {
		*n = -1
		switch how {
		case "panic":
			panic("no")
		case "goexit":
			runtime.Goexit()
		}
		return reprise.None{}, errors.New(how)
	})
	reprise.Bind(r, hang, func(*reprise.EntityContext, *int, reprise.None) (reprise.None, error) {
		blockHere(gate)
		return reprise.None{}, nil
	})
	reprise.Bind(r, long, func(_ *reprise.EntityContext, _ *int, n int) (string, error) { return strings.Repeat("x", n), nil })
	return NewEntities(r, o)
}

// operations returns a request for operations: "add 1" is called, "!add 1" signaled.
func operations(state string, texts ...string) leader.EntityRequest {
	req := leader.EntityRequest{
		Key:  leader.ExecutionKey{Partition: 1, Epoch: 5, Hub: "default", Instance: counter.Key("a").ID(), Execution: "e"},
		Name: "counter", Now: time.Unix(1000, 0), NextID: 3,
	}
	if state != "" {
		req.State = history.Payload(state)
	}
	for _, text := range texts {
		name, input, _ := strings.Cut(text, " ")
		var body history.Body = &history.EntityOperationCalled{Operation: name, Input: history.Payload(input)}
		if strings.HasPrefix(name, "!") {
			body = &history.EntityOperationSignaled{Operation: name[1:], Input: history.Payload(input)}
		}
		req.Operations = append(req.Operations, history.Event{ID: history.NoID, Body: body})
	}
	return req
}

// shown is a batch in a line.
func shown(b history.Batch) string {
	var out []string
	for _, r := range b.Results {
		if r.Failure != nil {
			out = append(out, "failed: "+r.Failure.Message)
		} else {
			out = append(out, string(r.Result))
		}
	}
	for _, e := range b.Decided {
		s := e.Body.(*history.EntityOperationSignaled)
		out = append(out, fmt.Sprintf("#%d %s %s", e.ID, s.Target, s.Input))
	}
	return fmt.Sprintf("%s; state %s", strings.Join(out, ", "), b.State)
}

func TestOperations(t *testing.T) {
	var logged strings.Builder
	e := entities(nil, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	for _, c := range []struct {
		state string
		asked []string
		want  string
	}{
		{"", []string{"add 1", "!add 2", "add 3"}, "1, 3, 6, #3 @counter@total 1, #4 @counter@total 2, #5 @counter@total 3; state 6"},
		{"7", []string{"add 1", `fail "oh"`, "add 2"}, "8, failed: oh, 10, #3 @counter@total 1, #4 @counter@total 2; state 10"},
		{"7", []string{`fail "panic"`, "!add 2"}, "failed: no, 9, #3 @counter@total 2; state 9"},
		{"7", []string{"add 1", `fail "goexit"`, `fail "goexit"`, "add 2"},
			"8, failed: the operation called runtime.Goexit, failed: the operation called runtime.Goexit, 10, #3 @counter@total 1, #4 @counter@total 2; state 10"},
		{"7", []string{"delete"}, "; state "},
		{"7", []string{"nothing"}, `failed: the entity has no such operation: "nothing" of entity "counter"; state 7`},
		{"", []string{`fail "first"`}, "failed: first; state "},
	} {
		batch, err := e.Operations(t.Context(), operations(c.state, c.asked...))
		if got := shown(batch); err != nil || got != c.want {
			t.Errorf("%v on %q: %s, %v\nwant %s", c.asked, c.state, got, err, c.want)
		}
		if batch.State != nil && len(batch.State) == 0 {
			t.Errorf("%v: no state is an empty one", c.asked)
		}
	}
	if logged.Len() > 0 {
		t.Errorf("failures that callers are told of were logged: %s", &logged)
	}
	if _, err := e.Operations(t.Context(), operations("1", `!fail "unheard"`)); err != nil || !strings.Contains(logged.String(), "unheard") {
		t.Errorf("a failed signal is not logged: %v, %s", err, &logged)
	}
}

func TestNoCodeOfAnEntity(t *testing.T) {
	e := entities(nil, quiet(Options{}))
	req := operations("1", "add 1")
	req.Name = "other"
	if _, err := e.Operations(t.Context(), req); !errors.Is(err, leader.ErrUnbound) {
		t.Errorf("a name that nobody binds: %v", err)
	}
	req = operations("1", "add 1")
	req.Operations[0].Body = &history.EntityLockGranted{}
	if _, err := e.Operations(t.Context(), req); err == nil {
		t.Error("what is no operation was run")
	}
}

// A run ends before it is too large to be recorded; the rest is asked for again.
func TestLargeRun(t *testing.T) {
	e := entities(nil, quiet(Options{}))
	text := fmt.Sprintf("long %d", 1<<21)
	batch, err := e.Operations(t.Context(), operations("1", text, text, text, text, text))
	if err != nil || len(batch.Results) != 2 || batch.Results[1].Failure != nil {
		t.Errorf("%d results, %v", len(batch.Results), err)
	}
}

// An operation that does not end is told to people. Its entity does not run a second
// time meanwhile, other entities do, and nobody takes the outcome once the reign is over.
func TestStuckOperation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		var logged strings.Builder
		e := entities(gate, Options{TurnLimit: time.Minute, Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan error, 1), make(chan string, 1)
		go func() {
			_, err := e.Operations(ctx, operations("1", "hang", "add 1"))
			first <- err
		}()
		time.Sleep(time.Minute)
		synctest.Wait()
		list := e.Stuck()
		if len(list) != 1 || list[0].Instance != "@counter@a" || list[0].Name != "counter" || !strings.Contains(list[0].Stack, "blockHere") {
			t.Errorf("stuck: %+v", list)
		}
		if !strings.Contains(logged.String(), "an operation of an entity does not end") || !strings.Contains(logged.String(), "blockHere") {
			t.Errorf("log: %s", &logged)
		}
		cancel()
		go func() {
			req := operations("1", "add 2")
			req.Key.Epoch = 9
			batch, err := e.Operations(t.Context(), req)
			second <- fmt.Sprint(shown(batch), err)
		}()
		other := operations("1", "add 2")
		other.Key.Instance = counter.Key("b").ID()
		if _, err := e.Operations(t.Context(), other); err != nil {
			t.Error(err)
		}
		impatient, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := e.Operations(impatient, operations("1", "add 2")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it did not wait for the one that runs: %v", err)
		}
		synctest.Wait()
		if len(first)+len(second) > 0 {
			t.Fatal("one of them ended")
		}
		close(gate)
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the first: %v", err)
		}
		if got := <-second; got != "3, #3 @counter@total 2; state 3<nil>" {
			t.Errorf("the second: %s", got)
		}
		if list := e.Stuck(); len(list) != 0 {
			t.Errorf("still stuck: %+v", list)
		}
	})
}

func TestCloseEntities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := entities(gate, quiet(Options{}))
		ran := make(chan string, 1)
		go func() {
			batch, err := e.Operations(t.Context(), operations("1", "hang"))
			ran <- fmt.Sprint(shown(batch), err)
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := e.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "@counter@a") {
			t.Errorf("close with code that runs: %v", err)
		}
		close(gate)
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if got := <-ran; got != "; state 1<nil>" {
			t.Errorf("what ran came to %s", got)
		}
		if _, err := e.Operations(t.Context(), operations("1", "add 1")); !errors.Is(err, errClosed) {
			t.Errorf("a run after that: %v", err)
		}
	})
}

// What an operation sends is of its trace.
func TestOperationsHandOnTheirTrace(t *testing.T) {
	e := entities(nil, Options{})
	req := operations("", "add 1", "!add 2")
	req.Operations[0].Body.(*history.EntityOperationCalled).Trace = history.Trace{Parent: "called", State: "a=1"}
	req.Operations[1].Body.(*history.EntityOperationSignaled).Trace = history.Trace{Parent: "signaled"}
	batch, err := e.Operations(t.Context(), req)
	if err != nil || len(batch.Decided) != 2 {
		t.Fatalf("%s, %v", shown(batch), err)
	}
	for i, want := range []history.Trace{{Parent: "called", State: "a=1"}, {Parent: "signaled"}} {
		if got := batch.Decided[i].Body.(*history.EntityOperationSignaled).Trace; got != want {
			t.Errorf("the signal of operation %d is of trace %q, want %q", i, got, want)
		}
	}
}
