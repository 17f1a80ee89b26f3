package otelreprise

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// Tracing makes spans. It is safe for concurrent use.
type Tracing struct {
	tracer trace.Tracer
	warn   sync.Once
}

// New returns a maker of spans for the provider, which must have been made with [IDs].
func New(provider trace.TracerProvider) *Tracing {
	return &Tracing{tracer: provider.Tracer("github.com/reprise-run/reprise")}
}

// Client is an interceptor of clients: each call is a span, and what it starts, asks an
// entity for, or raises is traced as a part of it, unless it was given another trace.
func (t *Tracing) Client(next client.Handler) client.Handler {
	return func(ctx context.Context, call *client.Call) error {
		name := call.Operation
		if call.Name != "" {
			name += " " + call.Name
		}
		kind := trace.SpanKindClient
		if call.Operation == "raise" {
			kind = trace.SpanKindProducer
		}
		ctx, span := t.tracer.Start(ctx, name, trace.WithSpanKind(kind), trace.WithAttributes(
			attribute.String("reprise.taskhub", string(call.TaskHub)), attribute.String("reprise.instance", string(call.Instance))))
		defer span.End()
		switch call.Operation {
		case "start", "execute", "signal", "raise":
			if call.Trace.Parent == "" {
				call.Trace = traceOf(ctx)
			}
		}
		err := next(ctx, call)
		if err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		return err
	}
}

// Activity is an interceptor of activities: each attempt is a span, in the context of
// the function, so that spans which the function begins are parts of it. Attempts of
// what is not traced have none.
func (t *Tracing) Activity(next reprise.ActivityHandler) reprise.ActivityHandler {
	return func(ctx context.Context, input history.Payload) (history.Payload, error) {
		a := reprise.Attempt(ctx)
		if a.Trace.Parent == "" {
			return next(ctx, input)
		}
		ctx, span := t.tracer.Start(within(ctx, a.Trace), "attempt "+a.Name, trace.WithAttributes(
			attribute.String("reprise.taskhub", string(a.TaskHub)),
			attribute.String("reprise.instance", string(a.Instance)),
			attribute.String("reprise.execution", string(a.Execution)),
			attribute.String("reprise.activity", a.Name),
			attribute.Int("reprise.attempt", a.Number),
			attribute.String("reprise.fence", a.Fence.String()),
			attribute.String("reprise.node", a.Node),
		))
		returned := false
		defer func() {
			if !returned { // it panics, or ends its goroutine
				span.SetStatus(codes.Error, "the activity panicked")
			}
			span.End()
		}()
		output, err := next(ctx, input)
		if returned = true; err != nil {
			span.SetStatus(codes.Error, err.Error())
		}
		return output, err
	}
}

// errIDs says what is wrong with a provider.
var errIDs = errors.New("otelreprise: the tracer provider was not made with sdktrace.WithIDGenerator(otelreprise.IDs{}), so the parts of a trace do not find each other")

// Record makes a span of OpenTelemetry of one that a node tells of; it is for
// cluster.Config.Spans.
func (t *Tracing) Record(s history.Span) {
	own := trace.SpanContextFromContext(within(context.Background(), s.Trace)).SpanID()
	ctx := context.WithValue(within(context.Background(), s.Parent), given{}, own)
	attributes := []attribute.KeyValue{
		attribute.String("reprise.taskhub", string(s.Hub)),
		attribute.String("reprise.instance", string(s.Instance)),
		attribute.String("reprise.execution", string(s.Execution)),
		attribute.String("reprise."+string(s.Kind), s.Name),
		attribute.String("reprise.status", s.Status.String()),
	}
	if s.Version != "" {
		attributes = append(attributes, attribute.String("reprise.version", s.Version))
	}
	name := string(s.Kind) + " " + s.Name
	switch s.Kind {
	case history.ActivitySpan:
		attributes = append(attributes, attribute.Int("reprise.task", int(s.TaskID)), attribute.Int("reprise.attempts", s.Attempts))
	case history.OperationSpan:
		entity, _ := s.Instance.Entity() // names of spans are few: its key is in the instance
		attributes = append(attributes, attribute.String("reprise.entity", entity))
		name += " of " + entity
	}
	options := []trace.SpanStartOption{trace.WithTimestamp(s.Began), trace.WithAttributes(attributes...)}
	if s.Kind == history.EventSpan {
		options = append(options, trace.WithSpanKind(trace.SpanKindConsumer))
	}
	if link := trace.SpanContextFromContext(within(context.Background(), s.Link)); link.IsValid() {
		options = append(options, trace.WithLinks(trace.Link{SpanContext: link}))
	}
	_, span := t.tracer.Start(ctx, name, options...)
	if span.IsRecording() && span.SpanContext().SpanID() != own {
		t.warn.Do(func() { otel.Handle(errIDs) })
	}
	if s.Status == history.Failed {
		text := "failed"
		if s.Failure != nil {
			text = s.Failure.Message
		}
		span.SetStatus(codes.Error, text)
	}
	span.End(trace.WithTimestamp(s.Ended))
}

// The headers of W3C Trace Context.
const (
	parentHeader = "traceparent"
	stateHeader  = "tracestate"
)

// within returns a context whose spans are parts of a trace.
func within(ctx context.Context, t history.Trace) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{parentHeader: t.Parent, stateHeader: t.State})
}

// traceOf returns the trace of the span in a context; zero: there is none.
func traceOf(ctx context.Context) history.Trace {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return history.Trace{Parent: carrier[parentHeader], State: carrier[stateHeader]}
}
