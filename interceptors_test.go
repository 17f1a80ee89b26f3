package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// noted is what interceptors did, with repetitions and once.
type noted struct{ all, once []string }

func (n *noted) around(name string) reprise.OrchestratorInterceptor {
	return func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
		return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
			note := func(text string) {
				n.all = append(n.all, text)
				c.Once(func() { n.once = append(n.once, text) })
			}
			note(fmt.Sprintf("%s: %s begins with %s", name, c.Name(), input))
			c.OnDecision(func(b history.Body) {
				if task, ok := b.(*history.TaskScheduled); ok {
					if task.Tags == nil {
						task.Tags = map[string]string{}
					}
					task.Tags[name] = c.Name()
				}
				note(fmt.Sprintf("%s: kind %d", name, b.Kind()))
			})
			output, err := next(c, input)
			note(fmt.Sprintf("%s: ends with %s, %v", name, output, err))
			return output, err
		}
	}
}

func TestOrchestratorInterceptors(t *testing.T) {
	var n noted
	registry := with(func(o *reprise.Orchestration, in int) (any, error) {
		if _, err := double.Call(o, in); err != nil {
			return nil, err
		}
		o.Sleep(1)
		_, err := fails.Call(o, "gone")
		return nil, err
	}, reprise.WithOrchestratorInterceptor(n.around("outer"), n.around("inner")))
	r := &run{registry: registry(), rebuild: true}
	end := r.start(t, "test", "5")
	if !errors.Is(reprise.ErrorOf(reprise.JSON, end.Failure), errGone) {
		t.Errorf("%+v", end.Failure)
	}
	want := strings.Split(`outer: test begins with 5
inner: test begins with 5
outer: kind 6
inner: kind 6
outer: kind 12
inner: kind 12
outer: kind 6
inner: kind 6
inner: ends with , look for it: gone
outer: ends with , look for it: gone`, "\n")
	if !slices.Equal(n.once, want) {
		t.Errorf("once:\n%s", strings.Join(n.once, "\n"))
	}
	if len(n.all) <= len(want) {
		t.Errorf("it was not run again on replay: %q", n.all)
	}
	for _, e := range r.recorded {
		if task, ok := e.Body.(*history.TaskScheduled); ok && !maps.Equal(task.Tags, map[string]string{"outer": "test", "inner": "test"}) {
			t.Errorf("tags %v", task.Tags)
		}
	}
}

// What an interceptor decides is the orchestrator's, and it may answer instead.
func TestOrchestratorInterceptorDecides(t *testing.T) {
	twice := func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
		return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
			doubled, err := double.Call(c.Orchestration, 21)
			if string(input) == "0" {
				return fmt.Appendf(nil, "%d", doubled), err
			}
			return next(c, fmt.Appendf(nil, "%d", doubled))
		}
	}
	registry := with(func(o *reprise.Orchestration, in int) (any, error) { return in + 1, nil }, reprise.WithOrchestratorInterceptor(twice))
	for input, want := range map[string]string{"0": "42", "1": "43"} {
		if got := output(t, both(t, registry, "test", input)); got != want {
			t.Errorf("%s gives %s, want %s", input, got, want)
		}
	}
}

func TestOrchestratorInterceptorPanics(t *testing.T) {
	for name, around := range map[string]reprise.OrchestratorInterceptor{
		"boom": func(reprise.OrchestratorFunc) reprise.OrchestratorFunc {
			return func(*reprise.OrchestrationCall, history.Payload) (history.Payload, error) { panic("boom") }
		},
		"shown a decision": func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
			return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
				c.OnDecision(func(history.Body) { c.Timer(1) })
				return next(c, input)
			}
		},
	} {
		r := both(t, with(func(o *reprise.Orchestration, in int) (any, error) { return double.Call(o, in) }, reprise.WithOrchestratorInterceptor(around)), "test", "1")
		var p *reprise.PanicError
		if !errors.As(reprise.ErrorOf(reprise.JSON, r.end.Failure), &p) || !strings.Contains(fmt.Sprint(p.Value), name) {
			t.Errorf("%s: %+v", name, r.end.Failure)
		}
	}
}

// An interceptor sees that an orchestration continues as new, and hands it on.
func TestOrchestratorInterceptorContinues(t *testing.T) {
	continued := 0
	around := func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
		return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
			output, err := next(c, input)
			if reprise.IsContinueAsNew(err) {
				c.Once(func() { continued++ })
			}
			return output, err
		}
	}
	registry := with(func(o *reprise.Orchestration, in int) (any, error) {
		if in < 3 {
			return nil, test.ContinueAsNew(o, in+1)
		}
		return in, nil
	}, reprise.WithOrchestratorInterceptor(around))
	r := &run{registry: registry()}
	if r.start(t, "test", "0"); output(t, r) != "3" || continued != 3 {
		t.Errorf("%s after %d", r.end.Result, continued)
	}
}

func TestActivityInterceptors(t *testing.T) {
	var calls []string
	around := func(name string) reprise.ActivityInterceptor {
		return func(next reprise.ActivityHandler) reprise.ActivityHandler {
			return func(ctx context.Context, input history.Payload) (history.Payload, error) {
				calls = append(calls, fmt.Sprintf("%s %d %s", name, reprise.Attempt(ctx).Number, input))
				output, err := next(ctx, input)
				calls = append(calls, fmt.Sprintf("%s %s %v", name, output, errors.Is(err, errGone)))
				return output, err
			}
		}
	}
	registry := with(func(o *reprise.Orchestration, in int) (any, error) {
		_, err := fails.Call(o, "fatal", reprise.Retry(3, 1))
		if !errors.Is(err, errGone) {
			return nil, err
		}
		return double.Call(o, in)
	}, reprise.WithActivityInterceptor(around("outer"), around("inner")))
	r := &run{registry: registry()}
	if r.start(t, "test", "4"); output(t, r) != "8" {
		t.Errorf("%s", r.end.Result)
	}
	want := []string{
		`outer 1 "fatal"`, `inner 1 "fatal"`, "inner  true", "outer  true", // not retryable, whoever stands around it
		"outer 1 4", "inner 1 4", "inner 8 false", "outer 8 false",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("%q", calls)
	}
}

// Interceptors stand around every operation of an entity, the first outermost, and see how
// it ends.
func TestEntityInterceptors(t *testing.T) {
	var calls []string
	around := func(name string) reprise.EntityInterceptor {
		return func(next reprise.OperationHandler) reprise.OperationHandler {
			return func(e *reprise.EntityContext, input history.Payload) (history.Payload, error) {
				calls = append(calls, fmt.Sprintf("%s: %s of %s gets %s in trace %q", name, e.Operation(), e.Key(), input, e.Trace().Parent))
				output, err := next(e, input)
				calls = append(calls, fmt.Sprintf("%s: %s %v", name, output, err))
				return output, err
			}
		}
	}
	r := reprise.NewRegistry(reprise.WithEntityInterceptor(around("outer"), around("inner")))
	bank(r)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	code, _ := r.Entity("account")
	x := code.Begin(reprise.EntityInfo{Entity: "@account@a"}, nil)
	x.Do("deposit", history.Trace{Parent: "t1"}, history.Payload(`1`))
	x.Do("nothing", history.Trace{}, nil)
	x.Do("delete", history.Trace{}, nil)
	want := []string{
		`outer: deposit of a gets 1 in trace "t1"`, `inner: deposit of a gets 1 in trace "t1"`, "inner: 1 <nil>", "outer: 1 <nil>",
		`outer: nothing of a gets  in trace ""`, `inner: nothing of a gets  in trace ""`,
		`inner:  the entity has no such operation: "nothing" of entity "account"`, `outer:  the entity has no such operation: "nothing" of entity "account"`,
		`outer: delete of a gets  in trace ""`, `inner: delete of a gets  in trace ""`, "inner:  <nil>", "outer:  <nil>",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("%s", strings.Join(calls, "\n"))
	}
	if b := x.Batch(); b.State != nil || len(b.Results) != 3 || b.Results[0].Failure != nil || b.Results[1].Failure == nil || b.Results[2].Failure != nil {
		t.Errorf("%+v", x.Batch())
	}
}

// What an interceptor returns is how the operation ends, and of what failed within it
// nothing is left: neither of the state nor of what was sent.
func TestEntityInterceptorDecides(t *testing.T) {
	tally := reprise.NewEntity[int]("tally")
	add := reprise.NewOperation[int, int](tally, "add")
	type handler = reprise.OperationHandler
	calls := map[string]func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error){
		"hands on": func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			return next(e, in)
		},
		"answers instead": func(_ handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			return history.Payload("0"), add.Signal(e, tally.Key("told"), 1)
		},
		"refuses afterwards": func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			if out, err := next(e, in); err != nil {
				return out, err
			}
			return nil, errGone
		},
		"forgives": func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			err := add.Signal(e, tally.Key("told"), 1)
			if _, failed := next(e, in); failed != nil {
				return history.Payload("-1"), err
			}
			return nil, errors.New("it did not fail")
		},
		"forgives a panic": func(next handler, e *reprise.EntityContext, in history.Payload) (out history.Payload, err error) {
			defer func() {
				if recover() != nil {
					out = history.Payload("-2")
				}
			}()
			return next(e, in)
		},
		"tries again": func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			if _, err := next(e, history.Payload("-5")); err == nil {
				return nil, errors.New("it did not fail")
			}
			return next(e, in)
		},
		"calls twice": func(next handler, e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
			if _, err := next(e, in); err != nil {
				return nil, err
			}
			return next(e, in)
		},
		"deletes": func(_ handler, e *reprise.EntityContext, _ history.Payload) (history.Payload, error) {
			e.Delete()
			return nil, nil
		},
		"panics": func(handler, *reprise.EntityContext, history.Payload) (history.Payload, error) { panic("boom") },
		"sends and fails": func(_ handler, e *reprise.EntityContext, _ history.Payload) (history.Payload, error) {
			return nil, errors.Join(add.Signal(e, tally.Key("told"), 1), errGone)
		},
	}
	for _, c := range []struct{ name, input, result, failure, state, sent string }{
		{"hands on", "2", "9", "", "9", "sum"},
		{"answers instead", "2", "0", "", "7", "told"},
		{"refuses afterwards", "2", "", errGone.Error(), "7", ""},
		{"forgives", "-5", "-1", "", "7", "told"},
		{"forgives a panic", "0", "-2", "", "7", ""},
		{"tries again", "2", "9", "", "9", "sum"},
		{"calls twice", "2", "11", "", "11", "sum sum"},
		{"deletes", "2", "", "", "", ""},
		{"panics", "2", "", "boom", "7", ""},
		{"sends and fails", "2", "", errGone.Error(), "7", ""},
	} {
		r := reprise.NewRegistry(reprise.WithEntityInterceptor(func(next reprise.OperationHandler) reprise.OperationHandler {
			return func(e *reprise.EntityContext, in history.Payload) (history.Payload, error) {
				if string(in) == "100" {
					return next(e, in)
				}
				return calls[c.name](next, e, in)
			}
		}))
		reprise.Bind(r, add, func(e *reprise.EntityContext, n *int, by int) (int, error) {
			err := add.Signal(e, tally.Key("sum"), by)
			switch *n += by; {
			case by == 0:
				panic("no")
			case by < 0:
				return 0, errors.Join(err, errors.New("negative"))
			}
			return *n, err
		})
		code, _ := r.Entity("tally")
		x := code.Begin(reprise.EntityInfo{Entity: "@tally@a", NextID: 4}, history.Payload("7"))
		x.Do("add", history.Trace{}, history.Payload(c.input))
		b := x.Batch()
		failure := ""
		if f := b.Results[0].Failure; f != nil {
			failure = f.Message
		}
		var sent []string
		for i, e := range b.Decided {
			_, key := e.Body.(*history.EntityOperationSignaled).Target.Entity()
			if sent = append(sent, key); e.ID != int32(4+i) {
				t.Errorf("%s: decision %d has the ID %d", c.name, i, e.ID)
			}
		}
		if string(b.Results[0].Result) != c.result || !strings.Contains(failure, c.failure) || (failure == "") != (c.failure == "") ||
			string(b.State) != c.state || strings.Join(sent, " ") != c.sent {
			t.Errorf("%s: result %s, failure %q, state %s, sent %q", c.name, b.Results[0].Result, failure, b.State, sent)
		}
		// The next operation of the run finds the state that is told.
		n := 0
		if c.state != "" {
			if _, err := fmt.Sscan(c.state, &n); err != nil {
				t.Fatal(err)
			}
		}
		x.Do("add", history.Trace{}, history.Payload("100"))
		if got, want := string(x.Batch().Results[1].Result), fmt.Sprint(n+100); got != want {
			t.Errorf("%s: the next operation gives %s, want %s", c.name, got, want)
		}
	}
}

// What a traced orchestration starts, asks and sends is traced, each activity as a span of
// its own; an execution that is not traced starts nothing that is. What an interceptor makes
// of a trace is handed on if it is one.
func TestTraces(t *testing.T) {
	parent := history.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=a"}
	other := history.Trace{Parent: "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
	child := reprise.NewOrchestration[int, any]("child")
	told := reprise.NewEvent[int]("told")
	registry := func(opts ...reprise.RegistryOption) *reprise.Registry {
		r := with(func(o *reprise.Orchestration, in int) (any, error) {
			tries := 0
			again := reprise.RetryWith(func(reprise.RetryContext) (_ time.Duration, again bool) { tries++; return 0, tries < 2 })
			if _, err := fails.Call(o, "gone", again); err == nil {
				return nil, errors.New("it did not fail")
			}
			if _, err := child.StartDetached(o, in); err != nil {
				return nil, err
			}
			if err := told.Send(o, "somebody", in); err != nil {
				return nil, err
			}
			return child.Call(o, in)
		}, opts...)()
		reprise.Bind(r, child, func(*reprise.Orchestration, int) (any, error) { return 1, nil })
		return r
	}
	set := func(trace history.Trace) reprise.RegistryOption {
		return reprise.WithOrchestratorInterceptor(func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
			return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
				c.OnDecision(func(b history.Body) {
					if own := history.TraceOf(b); own != nil {
						*own = trace
					}
				})
				return next(c, input)
			}
		})
	}
	for _, c := range []struct {
		started history.Trace
		opts    []reprise.RegistryOption
		set     *history.Trace // what interceptors make of all; nil: there are none
	}{
		{started: parent},
		{},
		{started: history.Trace{Parent: "odd"}},
		{parent, []reprise.RegistryOption{set(other)}, &other},
		{parent, []reprise.RegistryOption{set(history.Trace{Parent: other.Parent, State: "no state"})}, &other},
		{parent, []reprise.RegistryOption{set(history.Trace{Parent: "odd", State: "a=b"})}, &history.Trace{}},
	} {
		r := &run{registry: registry(c.opts...), rebuild: true}
		r.execute(t, &history.ExecutionStarted{Name: "test", ExecutionID: "00ff", Input: history.Payload("1"), Trace: c.started}, "instance")
		var traces, want []history.Trace
		for _, e := range r.recorded {
			own := history.TraceOf(e.Body)
			if e.ID == history.NoID || own == nil {
				continue
			}
			traces = append(traces, *own)
			switch _, isTask := e.Body.(*history.TaskScheduled); {
			case c.set != nil:
				want = append(want, *c.set)
			case isTask:
				want = append(want, c.started.Task("00ff", e.ID))
			default:
				want = append(want, c.started.Execution("00ff"))
			}
		}
		if len(traces) != 5 || !slices.Equal(traces, want) || c.set == nil && traces[0].Valid() != (c.started == parent) {
			t.Errorf("%+v: %q, want %q", c.started, traces, want)
		}
	}
}
