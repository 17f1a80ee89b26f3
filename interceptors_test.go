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

// What a traced orchestration starts is traced, each activity as a span of its own;
// an execution that is not traced starts nothing that is.
func TestTraceParents(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	child := reprise.NewOrchestration[int, any]("child")
	registry := func() *reprise.Registry {
		r := with(func(o *reprise.Orchestration, in int) (any, error) {
			tries := 0
			again := reprise.RetryWith(func(reprise.RetryContext) (_ time.Duration, again bool) { tries++; return 0, tries < 2 })
			if _, err := fails.Call(o, "gone", again); err == nil {
				return nil, errors.New("it did not fail")
			}
			if _, err := child.StartDetached(o, in); err != nil {
				return nil, err
			}
			return child.Call(o, in)
		})()
		reprise.Bind(r, child, func(*reprise.Orchestration, int) (any, error) { return 1, nil })
		return r
	}
	for _, started := range []string{parent, "", "odd"} {
		r := &run{registry: registry(), rebuild: true}
		r.execute(t, &history.ExecutionStarted{Name: "test", ExecutionID: "00ff", Input: history.Payload("1"), TraceParent: started}, "instance")
		var traces, want []string
		for _, e := range r.recorded {
			switch b := e.Body.(type) {
			case *history.TaskScheduled:
				traces, want = append(traces, b.TraceParent), append(want, history.TaskTrace(started, "00ff", e.ID))
			case *history.SubOrchestrationInstanceCreated:
				traces, want = append(traces, b.TraceParent), append(want, history.ExecutionTrace(started, "00ff"))
			}
		}
		if len(traces) != 4 || !slices.Equal(traces, want) || history.ValidTrace(traces[0]) != (started == parent) {
			t.Errorf("%q: %q, want %q", started, traces, want)
		}
	}
}
