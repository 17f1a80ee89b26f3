package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/durabletask"
)

// Interceptors see one call, however often it is sent, the first outermost; what
// they set is sent.
func TestInterceptors(t *testing.T) {
	var told []string
	around := func(name string) Interceptor {
		return func(next Handler) Handler {
			return func(ctx context.Context, call *Call) error {
				told = append(told, fmt.Sprintf("%s: %s %q %q in %s", name, call.Operation, call.Instance, call.Name, call.TaskHub))
				if call.Operation == "start" {
					call.Tags[name] = "seen"
					call.TraceParent = "00-" + name
				}
				err := next(ctx, call)
				told = append(told, fmt.Sprintf("%s: %v", name, err))
				return err
			}
		}
	}
	var sent []*durabletask.CreateInstanceRequest
	n := &fakeNode{start: func(m *durabletask.CreateInstanceRequest) error {
		if sent = append(sent, m); len(sent) == 1 {
			return status.Error(codes.Unavailable, "the leader went away")
		}
		return nil
	}}
	tags := map[string]string{"mine": "1"}
	c := connect(t, []*fakeNode{n}, WithInterceptor(around("outer")), WithInterceptor(around("inner")))
	if _, err := c.Start(t.Context(), "o", nil, WithID("i"), WithTags(tags)); err != nil {
		t.Fatal(err)
	}
	want := []string{`outer: start "i" "o" in default`, `inner: start "i" "o" in default`, "inner: <nil>", "outer: <nil>"}
	if !slices.Equal(told, want) {
		t.Errorf("%q", told)
	}
	for _, m := range sent {
		if m.Tags["mine"] != "1" || m.Tags["outer"] != "seen" || m.Tags["inner"] != "seen" || m.GetParentTraceContext().GetTraceParent() != "00-inner" {
			t.Errorf("sent %v", m)
		}
	}
	if len(sent) != 2 || len(tags) != 1 {
		t.Errorf("%d sent; the caller's tags are %v", len(sent), tags)
	}
}

// A signal is sent with the trace parent that interceptors leave it, the caller's to begin
// with.
func TestInterceptorsOfSignals(t *testing.T) {
	var told, sent []string
	trace := func(name string) Interceptor {
		return func(next Handler) Handler {
			return func(ctx context.Context, call *Call) error {
				told = append(told, fmt.Sprintf("%s: %s %q %q %q", name, call.Operation, call.Instance, call.Name, call.TraceParent))
				if call.TraceParent == "" {
					call.TraceParent = name
				}
				return next(ctx, call)
			}
		}
	}
	n := &fakeNode{entityNode: entityNode{signal: func(m *durabletask.SignalEntityRequest) error {
		sent = append(sent, m.GetParentTraceContext().GetTraceParent())
		return nil
	}}}
	c := connect(t, []*fakeNode{n}, WithInterceptor(trace("outer")), WithInterceptor(trace("inner")))
	for _, opts := range [][]SignalOption{nil, {WithSignalTrace("given")}} {
		if err := c.SignalEntity(t.Context(), "@tally@K", "count", nil, opts...); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		`outer: signal "@tally@K" "count" ""`, `inner: signal "@tally@K" "count" "outer"`,
		`outer: signal "@tally@K" "count" "given"`, `inner: signal "@tally@K" "count" "given"`,
	}
	if !slices.Equal(told, want) || !slices.Equal(sent, []string{"outer", "given"}) {
		t.Errorf("%q, sent %q", told, sent)
	}
}

// An interceptor can answer instead.
func TestInterceptorRefuses(t *testing.T) {
	errNo := errors.New("no")
	n := &fakeNode{start: works}
	c := connect(t, []*fakeNode{n}, WithInterceptor(func(Handler) Handler {
		return func(context.Context, *Call) error { return errNo }
	}))
	if _, err := c.Start(t.Context(), "o", nil); !errors.Is(err, errNo) || len(n.calls()) != 0 {
		t.Errorf("%v after %d calls", err, len(n.calls()))
	}
	if err := c.RaiseEvent(t.Context(), "i", "e", nil); !errors.Is(err, errNo) {
		t.Error(err)
	}
}
