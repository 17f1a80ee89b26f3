package wire

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
)

// Payload returns the value of user code; absent is nil, and a present empty
// value is not nil.
func Payload(m *wrapperspb.BytesValue) history.Payload {
	if m == nil {
		return nil
	}
	if m.Value == nil {
		return history.Payload{}
	}
	return m.Value
}

// FromPayload is the inverse of [Payload].
func FromPayload(p history.Payload) *wrapperspb.BytesValue {
	if p == nil {
		return nil
	}
	return &wrapperspb.BytesValue{Value: p}
}

// FromText returns an absent value for an empty text.
func FromText(s string) *wrapperspb.StringValue {
	if s == "" {
		return nil
	}
	return wrapperspb.String(s)
}

// Time returns a time in UTC; absent is the zero time.
func Time(m *timestamppb.Timestamp) time.Time {
	if m == nil {
		return time.Time{}
	}
	return m.AsTime()
}

// FromTime is the inverse of [Time].
func FromTime(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func fromDuration(d time.Duration) *durationpb.Duration {
	if d == 0 {
		return nil
	}
	return durationpb.New(d)
}

func duration(m *durationpb.Duration) time.Duration {
	if m == nil {
		return 0
	}
	return m.AsDuration()
}

// Trace returns a trace as it came; see [history.Trace.Clean].
func Trace(m *durabletask.TraceContext) history.Trace {
	return history.Trace{Parent: m.GetTraceParent(), State: m.GetTraceState().GetValue()}
}

// FromTrace is the inverse of [Trace]; where there is no parent, the message is absent.
func FromTrace(t history.Trace) *durabletask.TraceContext {
	if t.Parent == "" {
		return nil
	}
	return &durabletask.TraceContext{TraceParent: t.Parent, TraceState: FromText(t.State)}
}
