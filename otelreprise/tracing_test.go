package otelreprise

import (
	"context"
	"errors"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

var parent = history.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "vendor=x,other=y"}

// spanOf returns the span ID of a trace.
func spanOf(t history.Trace) string { return t.Parent[36:52] }

// tracing returns a maker of spans and what it has made.
func tracing(opts ...sdktrace.TracerProviderOption) (*Tracing, *tracetest.SpanRecorder) {
	made := tracetest.NewSpanRecorder()
	return New(sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{sdktrace.WithSpanProcessor(made)}, opts...)...)), made
}

var _ sdktrace.IDGenerator = IDs{}

// What is started, asked or raised is a part of the call that does it, and only that.
func TestClient(t *testing.T) {
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	errNo := errors.New("no")
	for _, c := range []struct {
		call client.Call
		err  error
		name string
		kind trace.SpanKind
	}{
		{client.Call{Operation: "start", Name: "o", Instance: "i"}, nil, "start o", trace.SpanKindClient},
		{client.Call{Operation: "start", Name: "o", Trace: parent}, nil, "start o", trace.SpanKindClient},
		{client.Call{Operation: "execute", Name: "o", Instance: "i"}, nil, "execute o", trace.SpanKindClient},
		{client.Call{Operation: "signal", Name: "add", Instance: "@e@k"}, nil, "signal add", trace.SpanKindClient},
		{client.Call{Operation: "signal", Name: "add", Instance: "@e@k", Trace: parent}, errNo, "signal add", trace.SpanKindClient},
		{client.Call{Operation: "raise", Name: "e"}, errNo, "raise e", trace.SpanKindProducer},
		{client.Call{Operation: "raise", Name: "e", Trace: parent}, nil, "raise e", trace.SpanKindProducer},
		{client.Call{Operation: "wait"}, nil, "wait", trace.SpanKindClient},
	} {
		given := c.call.Trace
		err := tr.Client(func(ctx context.Context, call *client.Call) error {
			want := given
			if slices.Contains([]string{"start", "execute", "signal", "raise"}, call.Operation) && given.Parent == "" {
				want = traceOf(ctx)
			}
			if call.Trace != want || !trace.SpanContextFromContext(ctx).IsValid() {
				t.Errorf("%s: %q, want %q", c.name, call.Trace, want)
			}
			return c.err
		})(t.Context(), &c.call)
		all := made.Ended()
		span := all[len(all)-1]
		if err != c.err || span.Name() != c.name || span.SpanKind() != c.kind || (span.Status().Code == codes.Error) != (err != nil) {
			t.Errorf("%v, %s %v %v", err, span.Name(), span.SpanKind(), span.Status())
		}
	}
}

func TestActivity(t *testing.T) {
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	for name, fn := range map[string]reprise.ActivityHandler{
		"returns": func(context.Context, history.Payload) (history.Payload, error) { return nil, nil },
		"fails":   func(context.Context, history.Payload) (history.Payload, error) { return nil, errors.New("no") },
		"panics":  func(context.Context, history.Payload) (history.Payload, error) { panic("boom") },
	} {
		before := len(made.Ended())
		run := func(traced history.Trace) {
			defer func() { _ = recover() }()
			ctx := reprise.ContextWithAttempt(t.Context(), reprise.AttemptInfo{Name: name, Number: 2, Trace: traced})
			_, _ = tr.Activity(fn)(ctx, nil) // how it ends is in the span
		}
		run(history.Trace{})
		run(parent)
		all := made.Ended()[before:]
		if len(all) != 1 {
			t.Fatalf("%s: %d spans", name, len(all))
		}
		if s := all[0]; s.Name() != "attempt "+name || s.Parent().SpanID().String() != spanOf(parent) || (s.Status().Code == codes.Error) != (name != "returns") {
			t.Errorf("%s: %s in %s, %v", name, s.Name(), s.Parent().SpanID(), s.Status())
		}
	}
}

func TestRecord(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	span := history.Span{
		Kind: history.ActivitySpan, Name: "a", Trace: parent.Task("e", 3), Parent: parent.Execution("e"),
		Began: began, Ended: began.Add(time.Hour), Status: history.Failed, Failure: &history.Failure{Message: "no"}, Attempts: 2,
	}
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	tr.Record(span)
	got := made.Ended()[0]
	if got.Name() != "activity a" || got.SpanContext().SpanID().String() != spanOf(span.Trace) || got.Parent().SpanID().String() != spanOf(span.Parent) ||
		got.SpanContext().TraceID().String() != parent.Parent[3:35] || !got.StartTime().Equal(began) || !got.EndTime().Equal(span.Ended) || got.Status().Description != "no" ||
		got.SpanContext().TraceState().String() != parent.State || got.SpanKind() != trace.SpanKindInternal || len(got.Links()) != 0 {
		t.Errorf("%+v", got)
	}
	var told error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { told = err }))
	unfit, _ := tracing()
	if unfit.Record(span); !errors.Is(told, errIDs) {
		t.Errorf("a provider without the IDs: %v", told)
	}
	// What its starter did not sample is not sampled.
	for _, t := range []*history.Trace{&span.Trace, &span.Parent} {
		t.Parent = t.Parent[:53] + "00"
	}
	if tr.Record(span); len(made.Ended()) != 1 {
		t.Errorf("%d spans", len(made.Ended()))
	}
}

// An operation of an entity is a part of what asked for it. The name of its span has the
// entity's name, of which there are few, and not its key.
func TestRecordOperation(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	span := history.Span{
		Kind: history.OperationSpan, Hub: "default", Instance: "@account@alice", Execution: "life", Name: "withdraw",
		Trace: parent.Operation("run", 1), Parent: parent,
		Began: began, Ended: began.Add(time.Second), Status: history.Failed, Failure: &history.Failure{Message: "no funds"}, TaskID: history.NoID,
	}
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	tr.Record(span)
	span.Status, span.Failure, span.Parent = history.Completed, nil, parent.Execution("e")
	span.Trace = span.Parent.Operation("run", 2)
	tr.Record(span)
	for i, want := range []struct {
		own, parent     history.Trace
		status, problem string
	}{
		{parent.Operation("run", 1), parent, "Failed", "no funds"},
		{parent.Operation("run", 2), span.Parent, "Completed", ""},
	} {
		got := made.Ended()[i]
		if got.Name() != "operation withdraw of account" || got.SpanContext().SpanID().String() != spanOf(want.own) || got.Parent().SpanID().String() != spanOf(want.parent) ||
			!got.StartTime().Equal(began) || !got.EndTime().Equal(span.Ended) || got.Status().Description != want.problem || (got.Status().Code == codes.Error) != (want.problem != "") {
			t.Errorf("%+v", got)
		}
		told := map[string]string{}
		for _, a := range got.Attributes() {
			told[string(a.Key)] = a.Value.String()
		}
		wanted := map[string]string{
			"reprise.taskhub": "default", "reprise.instance": "@account@alice", "reprise.execution": "life",
			"reprise.entity": "account", "reprise.operation": "withdraw", "reprise.status": want.status,
		}
		if !maps.Equal(told, wanted) {
			t.Errorf("attributes %v", told)
		}
	}
}

// An external event is a part of what raised it, and names the execution that took it.
func TestRecordEvent(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	raised := history.Trace{Parent: "00-1af7651916cd43dd8448eb211c80319c-c7ad6b7169203331-01", State: "who=raised"}
	span := history.Span{
		Kind: history.EventSpan, Hub: "default", Instance: "i", Execution: "e", Name: "approved", Version: "2",
		Trace: raised.Event("e", 3), Parent: raised, Link: parent.Execution("e"),
		Began: began, Ended: began.Add(time.Second), Status: history.Completed, TaskID: history.NoID,
	}
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	tr.Record(span)
	span.Trace, span.Link = raised.Event("e", 4), history.Trace{} // the orchestration is not traced
	tr.Record(span)
	for i, links := range []int{1, 0} {
		got := made.Ended()[i]
		if got.Name() != "event approved" || got.SpanKind() != trace.SpanKindConsumer || got.SpanContext().TraceID().String() != raised.Parent[3:35] ||
			got.SpanContext().SpanID().String() != spanOf(raised.Event("e", 3+i)) || got.Parent().SpanID().String() != spanOf(raised) || got.SpanContext().TraceState().String() != raised.State ||
			!got.StartTime().Equal(began) || !got.EndTime().Equal(span.Ended) || len(got.Links()) != links {
			t.Errorf("%+v", got)
		}
		for _, l := range got.Links() {
			if traceOf(trace.ContextWithSpanContext(t.Context(), l.SpanContext)) != parent.Execution("e") {
				t.Errorf("linked to %v", l.SpanContext)
			}
		}
	}
}

// A trace goes into a context and comes out of it as it was, its state included; a state that
// OpenTelemetry does not take leaves the parent.
func TestPropagation(t *testing.T) {
	for _, c := range []struct{ in, out history.Trace }{
		{parent, parent},
		{history.Trace{Parent: parent.Parent}, history.Trace{Parent: parent.Parent}},
		{history.Trace{Parent: parent.Parent, State: "=="}, history.Trace{Parent: parent.Parent}},
		{history.Trace{Parent: "00-1", State: "a=1"}, history.Trace{}},
		{},
	} {
		if got := traceOf(within(t.Context(), c.in)); got != c.out {
			t.Errorf("%q comes out as %q", c.in, got)
		}
	}
}

// Only this package brings OpenTelemetry into a program.
func TestNobodyElseNeedsOpenTelemetry(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "..", "../client", "../cluster/server", "../cmd/reprise").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	for _, p := range packages {
		if strings.HasPrefix(p, "go.opentelemetry.io/") {
			t.Errorf("%s is among the dependencies", p)
		}
	}
	if len(packages) < 100 {
		t.Errorf("only %d dependencies", len(packages))
	}
}
