package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/otelreprise"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	route  = reprise.NewOrchestration[int, string]("route")
	leg    = reprise.NewOrchestration[reprise.None, string]("leg")
	attend = reprise.NewOrchestration[reprise.None, string]("attend")
	mark   = reprise.NewActivity[reprise.None, string]("mark")
	bell   = reprise.NewEntity[int]("bell")
	ring   = reprise.NewOperation[history.InstanceID, string](bell, "ring")
	rung   = reprise.NewEvent[string]("rung")
	begin  = reprise.NewEvent[reprise.None]("begin")
)

// bindRoute binds an orchestration that does all that a trace can follow: told to begin, it
// calls an activity, a child that calls another one, and an entity that sends it an event,
// and does so once more as a new execution; then it sends another orchestration an event.
func bindRoute(r *reprise.Registry, _ string) {
	reprise.Bind(r, mark, func(ctx context.Context, _ reprise.None) (string, error) {
		return reprise.Attempt(ctx).Trace.State, nil
	})
	reprise.Bind(r, leg, func(o *reprise.Orchestration, _ reprise.None) (string, error) { return mark.Call(o, reprise.None{}) })
	reprise.Bind(r, ring, func(e *reprise.EntityContext, _ *int, who history.InstanceID) (string, error) {
		return e.Trace().State, rung.Send(e, who, e.Trace().State)
	})
	reprise.Bind(r, attend, func(o *reprise.Orchestration, _ reprise.None) (string, error) { return rung.Await(o) })
	reprise.Bind(r, route, func(o *reprise.Orchestration, n int) (string, error) {
		if n == 0 {
			if _, err := begin.Await(o); err != nil {
				return "", err
			}
		}
		own, err := mark.Call(o, reprise.None{})
		if err != nil {
			return "", err
		}
		child, err := leg.Call(o, reprise.None{})
		if err != nil {
			return "", err
		}
		operation, err := ring.Call(o, bell.Key(string(o.InstanceID())), o.InstanceID())
		if err != nil {
			return "", err
		}
		event, err := rung.Await(o)
		if err == nil && n == 0 {
			return "", route.ContinueAsNew(o, 1)
		}
		if err == nil {
			err = rung.Send(o, "attend-"+o.InstanceID(), own)
		}
		return fmt.Sprint(own, child, operation, event), err
	})
}

// A trace goes from a start to all that comes of it, from node to node, with its state as it
// was; and an event is in the trace of who sent it.
func TestTraceStateGoesAlong(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		made := tracetest.NewSpanRecorder()
		tracing := otelreprise.New(sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(otelreprise.IDs{}), sdktrace.WithSpanProcessor(made)))
		w.spans, w.bind = tracing.Record, bindRoute
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		const routes = 6
		traceOf := func(i int, of string) history.Trace {
			return history.Trace{Parent: fmt.Sprintf("00-%032x-b7ad6b7169203331-01", i+1), State: fmt.Sprintf("%s=%d", of, i)}
		}
		var refs []leader.InstanceRef
		for i := range routes {
			name := fmt.Sprint("r", i)
			for name, input := range map[string]any{"route": 0, "attend": nil} {
				id := fmt.Sprint("r", i)
				if name == "attend" {
					id = "attend-" + id // it is not traced itself
				}
				req := startOf(name, id, input)
				if name == "route" {
					req.Trace = traceOf(i, "vendor")
					req.Trace.State = " " + req.Trace.State + " ,"
				}
				if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
					t.Fatal(err)
				}
				refs = append(refs, req.Instance)
			}
			// A client's event is in another trace than the orchestration that takes it.
			raise := leader.RaiseRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(name)}, Name: "Begin", Trace: traceOf(routes+i, "who"),
				Identity: leader.RequestIdentity{ID: name, Sent: time.Now()},
			}
			if err := w.nodes["b"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatal(err)
			}
		}
		for _, ref := range refs {
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: ref, Ended: true})
			if err != nil || got.Status != history.Completed {
				t.Fatalf("%s: %v %+v, %v", ref.ID, got.Status, got.Failure, err)
			}
		}
		time.Sleep(time.Second)
		counts := map[string]int{}
		ids := map[trace.SpanID]bool{}
		for _, s := range made.Ended() {
			own := s.SpanContext()
			counts[fmt.Sprintf("%s %s %s", own.TraceID(), s.Name(), own.TraceState())]++
			if ids[own.SpanID()] {
				t.Errorf("%s is there twice", s.Name())
			}
			ids[own.SpanID()] = true
		}
		total := 0
		for i := range routes {
			of, raised := traceOf(i, "vendor"), traceOf(routes+i, "who")
			for key, want := range map[string]int{
				// Each of the two executions has an activity, a child with another one, an
				// operation, and the event that this sends. One more event is sent at the end.
				of.Parent[3:35] + " orchestration route " + of.State:    2,
				of.Parent[3:35] + " orchestration leg " + of.State:      2,
				of.Parent[3:35] + " activity mark " + of.State:          4,
				of.Parent[3:35] + " operation ring of bell " + of.State: 2,
				of.Parent[3:35] + " event rung " + of.State:             3,
				raised.Parent[3:35] + " event Begin " + raised.State:    1,
			} {
				if counts[key] != want {
					t.Errorf("%s: %d, want %d", key, counts[key], want)
				}
				total += counts[key]
			}
		}
		if n := len(made.Ended()); n != total {
			t.Errorf("%d spans, %d are known: %v", n, total, counts)
		}
	})
}
