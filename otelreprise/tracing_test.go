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

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

// tracing returns a maker of spans and what it has made.
func tracing(opts ...sdktrace.TracerProviderOption) (*Tracing, *tracetest.SpanRecorder) {
	made := tracetest.NewSpanRecorder()
	return New(sdktrace.NewTracerProvider(append([]sdktrace.TracerProviderOption{sdktrace.WithSpanProcessor(made)}, opts...)...)), made
}

var _ sdktrace.IDGenerator = IDs{}

// What is started is a part of the call that starts it, and only that.
func TestClient(t *testing.T) {
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	errNo := errors.New("no")
	for _, c := range []struct {
		call client.Call
		err  error
		name string
	}{
		{client.Call{Operation: "start", Name: "o", Instance: "i"}, nil, "start o"},
		{client.Call{Operation: "start", Name: "o", TraceParent: parent}, nil, "start o"},
		{client.Call{Operation: "execute", Name: "o", Instance: "i"}, nil, "execute o"},
		{client.Call{Operation: "signal", Name: "add", Instance: "@e@k"}, nil, "signal add"},
		{client.Call{Operation: "signal", Name: "add", Instance: "@e@k", TraceParent: parent}, errNo, "signal add"},
		{client.Call{Operation: "raise", Name: "e"}, errNo, "raise e"},
		{client.Call{Operation: "wait"}, nil, "wait"},
	} {
		given := c.call.TraceParent
		err := tr.Client(func(ctx context.Context, call *client.Call) error {
			want := given
			if slices.Contains([]string{"start", "execute", "signal"}, call.Operation) && given == "" {
				want = traceParent(ctx)
			}
			if call.TraceParent != want || !trace.SpanContextFromContext(ctx).IsValid() {
				t.Errorf("%s: %q, want %q", c.name, call.TraceParent, want)
			}
			return c.err
		})(t.Context(), &c.call)
		all := made.Ended()
		span := all[len(all)-1]
		if err != c.err || span.Name() != c.name || span.SpanKind() != trace.SpanKindClient || (span.Status().Code == codes.Error) != (err != nil) {
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
		run := func(traced string) {
			defer func() { _ = recover() }()
			ctx := reprise.ContextWithAttempt(t.Context(), reprise.AttemptInfo{Name: name, Number: 2, TraceParent: traced})
			_, _ = tr.Activity(fn)(ctx, nil) // how it ends is in the span
		}
		run("")
		run(parent)
		all := made.Ended()[before:]
		if len(all) != 1 {
			t.Fatalf("%s: %d spans", name, len(all))
		}
		if s := all[0]; s.Name() != "attempt "+name || s.Parent().SpanID().String() != parent[36:52] || (s.Status().Code == codes.Error) != (name != "returns") {
			t.Errorf("%s: %s in %s, %v", name, s.Name(), s.Parent().SpanID(), s.Status())
		}
	}
}

func TestRecord(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	span := history.Span{
		Kind: history.ActivitySpan, Name: "a", TraceParent: history.TaskTrace(parent, "e", 3), Parent: history.ExecutionTrace(parent, "e"),
		Began: began, Ended: began.Add(time.Hour), Status: history.Failed, Failure: &history.Failure{Message: "no"}, Attempts: 2,
	}
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	tr.Record(span)
	got := made.Ended()[0]
	if got.Name() != "activity a" || got.SpanContext().SpanID().String() != span.TraceParent[36:52] || got.Parent().SpanID().String() != span.Parent[36:52] ||
		got.SpanContext().TraceID().String() != parent[3:35] || !got.StartTime().Equal(began) || !got.EndTime().Equal(span.Ended) || got.Status().Description != "no" {
		t.Errorf("%+v", got)
	}
	var told error
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { told = err }))
	unfit, _ := tracing()
	if unfit.Record(span); !errors.Is(told, errIDs) {
		t.Errorf("a provider without the IDs: %v", told)
	}
	// What its starter did not sample is not sampled.
	span.TraceParent, span.Parent = span.TraceParent[:53]+"00", span.Parent[:53]+"00"
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
		TraceParent: history.OperationTrace(parent, "run", 1), Parent: parent,
		Began: began, Ended: began.Add(time.Second), Status: history.Failed, Failure: &history.Failure{Message: "no funds"}, TaskID: history.NoID,
	}
	tr, made := tracing(sdktrace.WithIDGenerator(IDs{}))
	tr.Record(span)
	span.Status, span.Failure, span.Parent = history.Completed, nil, history.ExecutionTrace(parent, "e")
	span.TraceParent = history.OperationTrace(span.Parent, "run", 2)
	tr.Record(span)
	for i, want := range []struct {
		own, parent, status, problem string
	}{
		{history.OperationTrace(parent, "run", 1), parent, "Failed", "no funds"},
		{history.OperationTrace(parent, "run", 2), span.Parent, "Completed", ""},
	} {
		got := made.Ended()[i]
		if got.Name() != "operation withdraw of account" || got.SpanContext().SpanID().String() != want.own[36:52] || got.Parent().SpanID().String() != want.parent[36:52] ||
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
