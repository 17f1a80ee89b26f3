package cluster

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/otelreprise"
	"github.com/reprise-run/reprise/partition/leader"
)

// expectedSpans is what the histories of an instance and of its children say of spans: the
// trace parent of what each is a part of, by its own.
func expectedSpans(t *testing.T, w *testWorld, n *Node, id history.InstanceID, into map[string]string) {
	page, err := n.History(w.within(time.Minute), leader.HistoryRequest{Instance: leader.InstanceRef{Hub: "default", ID: id}})
	if err != nil {
		t.Fatal(err)
	}
	own := ""
	for _, e := range page.Events {
		switch b := e.Body.(type) {
		case *history.ExecutionStarted:
			own = history.ExecutionTrace(b.TraceParent, b.ExecutionID)
			into[own] = b.TraceParent
		case *history.TaskScheduled:
			into[b.TraceParent] = own
		case *history.SubOrchestrationInstanceCreated:
			if b.TraceParent != own {
				t.Errorf("%s starts %s within %s; it is %s itself", id, b.Instance, b.TraceParent, own)
			}
			expectedSpans(t, w, n, b.Instance, into)
		}
	}
}

// counts is how many orchestrations named count are traced: each calls six operations of
// an entity of its own, and each of these signals one that is common to all.
const counts = 6

// Spans of orchestrations and activities are those of the histories, each once, and there
// is one of each operation, through the death of a node, however often code was run again.
func TestTracesThroughACrash(t *testing.T) {
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
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
		ids := map[history.InstanceID]any{"tree": branch{3, 3}, "chain": 60, "list": collection{Want: 30}}
		for i := range counts {
			ids[history.InstanceID(fmt.Sprintf("count-%d", i))] = fmt.Sprint(i)
		}
		for id, input := range ids {
			name, _, _ := strings.Cut(string(id), "-")
			req := startOf(name, string(id), input)
			req.TraceParent = parent
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(25 * time.Millisecond) // of the bubble's time: they are in the middle of it
		w.crash("b")
		for i := range 30 {
			raise := leader.RaiseRequest{
				Instance: leader.InstanceRef{Hub: "default", ID: "list"}, Name: "Item", Data: history.Payload(fmt.Sprint(i)),
				Identity: leader.RequestIdentity{ID: fmt.Sprint("e", i), Sent: time.Now()},
			}
			if err := w.nodes["a"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatal(err)
			}
		}
		want := map[string]string{}
		for id := range ids {
			ref := leader.InstanceRef{Hub: "default", ID: id}
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: ref, Ended: true})
			if err != nil || got.Status != history.Completed {
				t.Fatalf("%s: %v, %v", id, got.Status, err)
			}
			expectedSpans(t, w, w.nodes["a"], id, want)
		}
		w.settled(w.nodes["a"], tally.Key("total").ID(), hasState(fmt.Sprint(5*counts)))
		time.Sleep(time.Second) // spans leave a moment after what they tell of
		judgeSpans(t, made.Ended(), want, parent)
		if ran.Load() <= once.Load() {
			t.Errorf("no code was run again: %d runs, %d of them new", ran.Load(), once.Load())
		}
	})
}

// judgeSpans compares spans with what the histories say.
func judgeSpans(t *testing.T, made []sdktrace.ReadOnlySpan, want map[string]string, root string) {
	spanOf := func(traceParent string) string { return traceParent[36:52] }
	parents := map[string]string{spanOf(root): ""}
	for own, parent := range want {
		parents[spanOf(own)] = spanOf(parent)
	}
	seen := map[string]bool{}
	nodes, kinds := map[string]int{}, map[string]int{}
	var lists, operations []sdktrace.ReadOnlySpan
	for _, s := range made {
		kind, _, _ := strings.Cut(s.Name(), " ")
		id, parent := s.SpanContext().SpanID().String(), s.Parent().SpanID().String()
		if s.SpanContext().TraceID().String() != root[3:35] {
			t.Errorf("%s is in another trace: %v", s.Name(), s.SpanContext())
		}
		if seen[id] {
			t.Errorf("%s %s is there twice", s.Name(), id)
		}
		seen[id] = true
		kinds[kind]++
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
