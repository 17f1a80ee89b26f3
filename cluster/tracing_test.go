package cluster

import (
	"fmt"
	"strings"
	"sync/atomic"
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

// expectedSpans is what the histories of an instance and of its children say of spans: the
// trace of what each is a part of, by its own.
func expectedSpans(t *testing.T, w *testWorld, n *Node, id history.InstanceID, into map[history.Trace]history.Trace) {
	page, err := n.History(w.within(time.Minute), leader.HistoryRequest{Instance: leader.InstanceRef{Hub: "default", ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	var own history.Trace
	for _, e := range page.Events {
		switch b := e.Body.(type) {
		case *history.ExecutionStarted:
			own = b.Trace.Execution(b.ExecutionID)
			into[own] = b.Trace
		case *history.TaskScheduled:
			into[b.Trace] = own
		case *history.SubOrchestrationInstanceCreated:
			if b.Trace != own {
				t.Errorf("%s starts %s within %s; it is %s itself", id, b.Instance, b.Trace, own)
			}
			expectedSpans(t, w, n, b.Instance, into)
		}
	}
}

// counts is how many orchestrations named count are traced: each calls six operations of
// an entity of its own, and each of these signals one that is common to all.
const counts = 6

// raises is how many events are raised, each in a trace of its own.
const raises = 30

func raiseTrace(i int) history.Trace {
	return history.Trace{Parent: fmt.Sprintf("00-%032x-c7ad6b7169203331-01", i+1), State: fmt.Sprint("raise=", i)}
}

// Spans of orchestrations and activities are those of the histories, each once, and there
// is one of each operation and of each event that is raised, through the death of a node, however often code was run again.
func TestTracesThroughACrash(t *testing.T) {
	parent := history.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=x"}
	bubble(t, func(t *testing.T, w *testWorld) {
		made := tracetest.NewSpanRecorder()
		tracing := otelreprise.New(sdktrace.NewTracerProvider(sdktrace.WithIDGenerator(otelreprise.IDs{}), sdktrace.WithSpanProcessor(made)))
		var ran, once atomic.Int64
		w.spans = tracing.Record
		w.options = []reprise.RegistryOption{
			reprise.WithActivityInterceptor(tracing.Activity),
			reprise.WithOrchestratorInterceptor(func(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
				return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
					ran.Add(1)
					c.Once(func() { once.Add(1) })
					return next(c, input)
				}
			}),
		}
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		ids := map[history.InstanceID]any{"tree": branch{3, 3}, "chain": 60, "list": collection{Want: raises}}
		for i := range counts {
			ids[history.InstanceID(fmt.Sprintf("count-%d", i))] = fmt.Sprint(i)
		}
		for id, input := range ids {
			name, _, _ := strings.Cut(string(id), "-")
			req := startOf(name, string(id), input)
			req.Trace = parent
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
		}
		for i := range raises {
			if i == raises/2 {
				time.Sleep(25 * time.Millisecond) // of the bubble's time: they are in the middle of it
				w.crash("b")
			}
			raise := leader.RaiseRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: "list"}, Name: "Item", Data: history.Payload(fmt.Sprint(i)), Trace: raiseTrace(i),
				Identity: leader.RequestIdentity{ID: fmt.Sprint("e", i), Sent: time.Now()},
			}
			if err := w.nodes["a"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatal(err)
			}
		}
		want := map[history.Trace]history.Trace{}
		for id := range ids {
			ref := leader.InstanceRef{Hub: "default", ID: id}
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: ref, Ended: true})
			if err != nil || got.Status != history.Completed {
				t.Fatalf("%s: %v, %v", id, got.Status, err)
			}
			expectedSpans(t, w, w.nodes["a"], id, want)
		}
		w.settled(w.nodes["a"], tally.Key("total").ID(), hasState(fmt.Sprint(5*counts)))
		time.Sleep(time.Second)
		judgeSpans(t, made.Ended(), want, parent)
		if ran.Load() <= once.Load() {
			t.Errorf("no code was run again: %d runs, %d of them new", ran.Load(), once.Load())
		}
	})
}

// judgeSpans compares spans with what the histories say.
func judgeSpans(t *testing.T, made []sdktrace.ReadOnlySpan, want map[history.Trace]history.Trace, root history.Trace) {
	spanOf := func(t history.Trace) string { return t.Parent[36:52] }
	parents := map[string]string{spanOf(root): ""}
	for own, parent := range want {
		parents[spanOf(own)] = spanOf(parent)
	}
	seen := map[string]bool{}
	nodes, kinds := map[string]int{}, map[string]int{}
	var lists, operations, events []sdktrace.ReadOnlySpan
	for _, s := range made {
		kind, _, _ := strings.Cut(s.Name(), " ")
		id, parent := s.SpanContext().SpanID().String(), s.Parent().SpanID().String()
		if seen[id] {
			t.Errorf("%s %s is there twice", s.Name(), id)
		}
		seen[id] = true
		kinds[kind]++
		if kind == "event" {
			events = append(events, s) // they are in the traces of who raised them
			continue
		}
		if s.SpanContext().TraceID().String() != root.Parent[3:35] || s.SpanContext().TraceState().String() != root.State {
			t.Errorf("%s is in another trace: %v", s.Name(), s.SpanContext())
		}
		if s.Name() == "orchestration list" {
			lists = append(lists, s) // the histories of all but the last are gone
			if parent != spanOf(root) {
				t.Errorf("%s is a part of %s", s.Name(), parent)
			}
			continue
		}
		if kind == "operation" {
			operations = append(operations, s) // no history names them
			continue
		}
		if kind == "attempt" {
			for _, a := range s.Attributes() {
				if a.Key == "reprise.node" {
					nodes[a.Value.AsString()]++
				}
			}
			if _, known := parents[parent]; !known {
				t.Errorf("%s is a part of %s, which no history names", s.Name(), parent)
			}
			continue
		}
		if p, known := parents[id]; !known || p != parent {
			t.Errorf("%s %s is a part of %s; by the history, of %q", s.Name(), id, parent, p)
		}
	}
	judgeOperations(t, operations, parents)
	judgeEvents(t, events, lists)
	// One that a dying leader committed and did not tell may be missing, so most is asked.
	if kinds["orchestration"] < 40 || kinds["activity"] < 70 || kinds["attempt"] < 70 || kinds["operation"] < 11*counts || len(nodes) < 2 {
		t.Errorf("too little is there: %v on nodes %v", kinds, nodes)
	}
	for i, s := range lists[1:] {
		if s.StartTime().Before(lists[i].EndTime()) {
			t.Errorf("execution %d of the list begins %v, before the one ahead of it ends, %v", i+1, s.StartTime(), lists[i].EndTime())
		}
	}
	if len(lists) < 4 {
		t.Errorf("%d executions of the list", len(lists))
	}
}

// judgeEvents looks whether each event was taken once: as a part of what raised it, by one
// of the executions of the list, to whose span it is linked.
func judgeEvents(t *testing.T, made, lists []sdktrace.ReadOnlySpan) {
	taken, executions := map[history.Trace]bool{}, map[trace.SpanID]bool{}
	for _, s := range lists {
		executions[s.SpanContext().SpanID()] = true
	}
	orphans := 0
	for _, s := range made {
		of := history.Trace{Parent: fmt.Sprintf("00-%s-%s-01", s.Parent().TraceID(), s.Parent().SpanID()), State: s.SpanContext().TraceState().String()}
		if s.Name() != "event Item" || s.SpanKind() != trace.SpanKindConsumer || taken[of] || len(s.Links()) != 1 {
			t.Errorf("%s of kind %v in %v, taken before: %t, %d links", s.Name(), s.SpanKind(), of, taken[of], len(s.Links()))
			continue
		}
		if !executions[s.Links()[0].SpanContext.SpanID()] {
			orphans++ // what it is linked to died with the leader that committed it
		}
		taken[of] = true
	}
	known := 0
	for i := range raises {
		if taken[raiseTrace(i)] {
			known++
		}
	}
	// One entry takes up to seven events, and one may be committed and not told.
	if known != len(made) || known < raises-7 || orphans > 7 {
		t.Errorf("%d of %d events were taken, %d of these are known, %d are linked to what nobody told", len(made), raises, known, orphans)
	}
}

// judgeOperations looks whether operations of entities are parts of what asked for them: of
// an orchestration, whose span histories name, or of another operation.
func judgeOperations(t *testing.T, made []sdktrace.ReadOnlySpan, named map[string]string) {
	perEntity := map[string]int{}
	own, asked := map[string]bool{}, map[string]int{}
	for _, s := range made {
		own[s.SpanContext().SpanID().String()] = true
	}
	orphans := 0
	for _, s := range made {
		entity := ""
		for _, a := range s.Attributes() {
			if a.Key == "reprise.instance" {
				entity = a.Value.AsString()
			}
		}
		perEntity[entity]++
		parent := s.Parent().SpanID().String()
		asked[parent]++
		total := entity == string(tally.Key("total").ID())
		if _, known := named[parent]; known == total || s.Name() != "operation add of tally" {
			t.Errorf("%s of %s is a part of %s", s.Name(), entity, parent)
		} else if total && !own[parent] {
			orphans++ // its parent died with the leader that committed it
		}
		if n := asked[parent]; total && n > 1 || n > 6 {
			t.Errorf("%d operations of %s within %s", n, entity, parent)
		}
	}
	for entity, n := range perEntity {
		if total := entity == string(tally.Key("total").ID()); n > 6 && !total || n > 6*counts {
			t.Errorf("%d operations of %s", n, entity)
		}
	}
	if orphans > counts {
		t.Errorf("%d of %d operations are parts of what nobody told", orphans, len(made))
	}
}
