package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// traced is a trace, and other another one.
var (
	traced = history.Trace{Parent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", State: "a=1,b=2"}
	other  = history.Trace{Parent: "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"}
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
					call.Trace = map[string]history.Trace{"outer": other, "inner": traced}[name]
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
		if m.Tags["mine"] != "1" || m.Tags["outer"] != "seen" || m.Tags["inner"] != "seen" || wire.Trace(m.GetParentTraceContext()) != traced {
			t.Errorf("sent %v", m)
		}
	}
	if len(sent) != 2 || len(tags) != 1 {
		t.Errorf("%d sent; the caller's tags are %v", len(sent), tags)
	}
}

// A signal and an event are sent with the trace that interceptors leave them, the caller's
// to begin with. What is no trace is sent as none, and is no error.
func TestInterceptorsSetTraces(t *testing.T) {
	var seen, sent []history.Trace
	trace := func(name history.Trace) Interceptor {
		return func(next Handler) Handler {
			return func(ctx context.Context, call *Call) error {
				seen = append(seen, call.Trace)
				if call.Trace.Parent == "" {
					call.Trace = name
				}
				return next(ctx, call)
			}
		}
	}
	n := &fakeNode{
		entityNode: entityNode{signal: func(m *durabletask.SignalEntityRequest) error {
			sent = append(sent, wire.Trace(m.GetParentTraceContext()))
			return nil
		}},
		raise: func(m *durabletask.RaiseEventRequest) error {
			sent = append(sent, wire.Trace(m.GetParentTraceContext()))
			return nil
		},
	}
	c := connect(t, []*fakeNode{n}, WithInterceptor(trace(other)), WithInterceptor(trace(history.Trace{Parent: "inner"})))
	odd := history.Trace{Parent: "\xff", State: "a=1"}
	for given, want := range map[history.Trace]history.Trace{{}: other, traced: traced, odd: {}} {
		seen, sent = nil, nil
		if err := c.SignalEntity(t.Context(), "@tally@K", "count", nil, WithSignalTrace(given)); err != nil {
			t.Fatal(err)
		}
		if err := c.RaiseEvent(t.Context(), "i", "e", nil, WithRaiseTrace(given)); err != nil {
			t.Fatal(err)
		}
		inner := given
		if inner.Parent == "" {
			inner = other
		}
		if !slices.Equal(seen, []history.Trace{given, inner, given, inner}) || !slices.Equal(sent, []history.Trace{want, want}) {
			t.Errorf("%q: seen %q, sent %q", given, seen, sent)
		}
	}
}

// Every call tells interceptors what it does, whom it concerns and what it names, and
// an interceptor can answer it instead.
func TestInterceptorsSeeEveryCall(t *testing.T) {
	errNo := errors.New("no")
	var told string
	n := &fakeNode{start: works}
	c := connect(t, []*fakeNode{n}, WithTaskHub("shop"), WithInterceptor(func(Handler) Handler {
		return func(_ context.Context, call *Call) error {
			told = fmt.Sprintf("%s %s %q %q", call.TaskHub, call.Operation, call.Instance, call.Name)
			return errNo
		}
	}))
	ctx, token := t.Context(), history.AttemptToken{Hub: "other", Instance: "i", Execution: "00ff", TaskID: 3, Epoch: 1, N: 1}.String()
	for want, call := range map[string]func() error{
		`shop start "i" "o"`:       func() error { _, err := c.Start(ctx, "o", nil, WithID("i")); return err },
		`shop execute "i" "o"`:     func() error { _, err := c.Execute(ctx, "o", nil, WithID("i")); return err },
		`shop raise "i" "e"`:       func() error { return c.RaiseEvent(ctx, "i", "e", nil) },
		`shop status "i" ""`:       func() error { _, err := c.Status(ctx, "i"); return err },
		`shop wait "i" ""`:         func() error { _, err := c.Wait(ctx, "i"); return err },
		`shop wait "j" ""`:         func() error { _, err := c.WaitStart(ctx, "j"); return err },
		`shop watch "i" ""`:        func() error { return last(c.Watch(ctx, "i")) },
		`shop history "i" ""`:      func() error { return last(c.History(ctx, "i", "")) },
		`shop query "i" "q"`:       func() error { _, _, err := c.AskQuery(ctx, "i", "q", nil); return err },
		`shop update "i" "u"`:      func() error { _, err := c.AskUpdate(ctx, "i", "u", nil); return err },
		`shop cancel "i" ""`:       func() error { return Cancel(ctx, c, "i") },
		`shop terminate "i" ""`:    func() error { return c.Terminate(ctx, "i", nil) },
		`shop signal "@a@1" "add"`: func() error { return c.SignalEntity(ctx, "@a@1", "add", nil) },
		`shop read "@a@1" ""`:      func() error { _, err := c.Entity(ctx, "@a@1"); return err },
		`shop list "" ""`:          func() error { return last(c.Entities(ctx)) },
		`shop cluster "" ""`:       func() error { _, err := c.Cluster(ctx); return err },
		`other complete "i" ""`:    func() error { return c.CompleteActivity(ctx, token, nil) },
		`other fail "i" ""`:        func() error { return c.FailActivity(ctx, token, &history.Failure{Message: "no"}) },
		`other heartbeat "i" ""`:   func() error { return c.HeartbeatActivity(ctx, token, nil) },
	} {
		told = ""
		if err := call(); !errors.Is(err, errNo) || told != want {
			t.Errorf("told %s, want %s; %v", told, want, err)
		}
	}
	if n := len(n.calls()); n != 0 {
		t.Errorf("%d calls went out", n)
	}
}

// last returns the error at the end of a sequence.
func last[T any](all iter.Seq2[T, error]) (err error) {
	for _, err = range all {
	}
	return err
}
