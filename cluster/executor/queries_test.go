package executor

import (
	"context"
	"errors"
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
	asked = reprise.NewOrchestration[int, int]("asked")
	how   = reprise.NewQuery[string, int]("how")
)

// askable returns an executor of an orchestration that counts its activities. How it
// is asked says what the handler does.
func askable(gate chan struct{}) *Orchestrators {
	r := reprise.NewRegistry()
	reprise.Bind(r, asked, func(o *reprise.Orchestration, n int) (sum int, err error) {
		how.Handle(o, func(in string) (int, error) {
			switch in {
			case "refuse":
				return 0, errors.New("no")
			case "decide":
				work.Start(o, 1)
			case "wait":
				o.Sleep(time.Second)
			case "draw":
				o.Rand().Int()
			case "panic":
				sum = 1000
				panic("boom")
			case "goexit":
				runtime.Goexit()
			case "hang":
				<-gate
			}
			return sum, nil
		})
		for range n {
			v, err := work.Call(o, 1)
			if err != nil {
				return 0, err
			}
			sum += v
		}
		return sum, nil
	})
	return NewOrchestrators(r, quiet(Options{}))
}

func (i *instance) query(e *Orchestrators, ctx context.Context, name, in string) (string, error) {
	req := i.request()
	req.Arrived = nil
	a, err := e.Query(ctx, leader.Inquiry{Execution: req, Query: name, Input: history.Payload(`"` + in + `"`)})
	if err == nil && a.Failure != nil {
		err = errors.New(a.Failure.Type + ": " + a.Failure.Message)
	}
	return string(a.Result), err
}

// Whatever a handler does, the orchestration goes on as if nobody had asked.
func TestQueriesHarmNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := askable(gate)
		i := newInstance("a", "asked")
		i.start(t, e)
		i.episode(t, e, completed(0))
		for _, c := range []struct {
			name, in string
			answer   string
			err      string // a part of it
			rebuilt  bool   // by the next query
		}{
			{"how", "", "1", "", false},
			{"how", "refuse", "", "no", false},
			{"what", "", "", `does not handle query "what"; it handles how`, false},
			{"how", "decide", "", "may only look; it tried to start something", true},
			{"how", "wait", "", "may only look; it tried to start something", true},
			{"how", "draw", "", "may only look; it tried to draw a random number", true},
			{"how", "panic", "", "panic: boom", true},
			{"how", "goexit", "", "Goexit", true},
			{"how", "hang", "", "not answered within 10s", true},
		} {
			before := i.histories
			got, err := i.query(e, t.Context(), c.name, c.in)
			if got != c.answer || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s %q: %q, %v", c.name, c.in, got, err)
			}
			if c.in == "hang" {
				if _, err := i.query(e, t.Context(), "how", ""); !errors.Is(err, leader.ErrNoHandler) {
					t.Errorf("asked while a query hangs: %v", err)
				}
				close(gate)
				synctest.Wait()
			}
			if got, err := i.query(e, t.Context(), "how", ""); got != "1" || err != nil {
				t.Errorf("after %s %q: %q, %v", c.name, c.in, got, err)
			}
			if rebuilt := i.histories > before; rebuilt != c.rebuilt {
				t.Errorf("after %s %q: rebuilt is %v", c.name, c.in, rebuilt)
			}
		}
		i.episode(t, e, completed(1))
		if last := i.episode(t, e, completed(2)); last.Completion() == nil || string(last.Completion().Result) != "3" {
			t.Errorf("the end: %v", last.Decided)
		}
		// After its end it is replayed once.
		before := i.histories
		for range 2 {
			if got, err := i.query(e, t.Context(), "how", ""); got != "3" || err != nil {
				t.Errorf("after the end: %q, %v", got, err)
			}
		}
		if i.histories != before+1 {
			t.Errorf("after the end the history was read %d times", i.histories-before)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A caller who leaves is not waited for, and an execution that code of another version
// made is left alone.
func TestQueryErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		e := askable(gate)
		i := newInstance("a", "asked")
		i.start(t, e)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := i.query(e, ctx, "how", "hang"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("left: %v", err)
		}
		close(gate)
		synctest.Wait()
		e.Forget(i.key)
		i.recorded[len(i.recorded)-1].Body = &history.TaskScheduled{Name: "other"}
		var unfit *history.NondeterminismError
		if _, err := i.query(e, t.Context(), "how", ""); !errors.As(err, &unfit) {
			t.Errorf("code that does not fit: %v", err)
		}
		i.name = "nobody"
		if _, err := i.query(e, t.Context(), "how", ""); !errors.Is(err, leader.ErrUnbound) {
			t.Errorf("nobody binds it: %v", err)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A query that has been answered is no code that does not yield, and leaves nothing behind.
func TestQueriesEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := askable(nil)
		defer func() { _ = e.Close(t.Context()) }()
		in := newInstance("a", "asked")
		in.start(t, e)
		for _, ask := range []string{"read", "refuse", "panic"} {
			_, _ = in.query(e, t.Context(), "how", ask)
		}
		synctest.Wait()
		if n := len(e.watch.turns); n != 0 {
			t.Errorf("%d turns are watched when all queries are answered", n)
		}
	})
}
