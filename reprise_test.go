package reprise_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

type declined struct {
	Reason string `json:"reason"`
}

func (d *declined) Error() string   { return "declined: " + d.Reason }
func (*declined) ErrorCode() string { return "test.declined" }

var (
	errGone  = reprise.NewError("test.gone", "gone")
	errOther = reprise.NewError("test.other", "other")

	double = reprise.NewActivity[int, int]("double")
	fails  = reprise.NewActivity[string, reprise.None]("fails")
	never  = reprise.NewActivity[reprise.None, int]("never")
	test   = reprise.NewOrchestration[int, any]("test")
)

// with returns a maker of registries with the activities and the orchestrator.
func with(fn func(o *reprise.Orchestration, in int) (any, error), opts ...reprise.RegistryOption) func() *reprise.Registry {
	return func() *reprise.Registry {
		r := reprise.NewRegistry(opts...)
		reprise.Bind(r, test, fn)
		reprise.Bind(r, double, func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		reprise.Bind(r, never, func(context.Context, reprise.None) (int, error) { return 0, nil })
		reprise.Bind(r, fails, func(ctx context.Context, how string) (reprise.None, error) {
			switch how {
			case "gone":
				return reprise.None{}, fmt.Errorf("look for it: %w", errGone)
			case "declined":
				return reprise.None{}, fmt.Errorf("pay: %w", &declined{"no funds"})
			case "joined":
				return reprise.None{}, errors.Join(errGone, &declined{"both"}, context.DeadlineExceeded)
			case "fatal":
				return reprise.None{}, reprise.NonRetryable(errGone)
			case "twice":
				if reprise.Attempt(ctx).Number > 2 {
					return reprise.None{}, nil
				}
			}
			return reprise.None{}, errors.New(how)
		})
		return r
	}
}

func output(t *testing.T, r *run) string {
	t.Helper()
	if r.end.Failure != nil {
		t.Fatalf("failed: %+v\n%s", r.end.Failure, r.history())
	}
	return string(r.end.Result)
}

func TestSequence(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		for range 3 {
			var err error
			if n, err = double.Call(o, n); err != nil {
				return nil, err
			}
		}
		return n, o.SetCustomStatus("done")
	}), "test", "5")
	if output(t, r) != "40" || string(r.status) != `"done"` {
		t.Errorf("%s, status %s", r.end.Result, r.status)
	}
}

func TestCombinators(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"all", func(o *reprise.Orchestration, n int) (any, error) {
			return reprise.All(o, double.Start(o, 1), double.Start(o, 2), double.Start(o, 3))
		}, "[2,4,6]"},
		{"any", func(o *reprise.Orchestration, n int) (any, error) {
			i, v, err := reprise.Any(o, never.Start(o, reprise.None{}), double.Start(o, 2), double.Start(o, 3))
			return []int{i, v}, err
		}, "[1,4]"},
		{"select", func(o *reprise.Orchestration, n int) (any, error) {
			return reprise.Select(o, never.Start(o, reprise.None{}), o.Timer(time.Hour), o.Timer(time.Minute)), nil
		}, "2"},
		{"as completed", func(o *reprise.Orchestration, n int) (any, error) {
			early, late := double.Start(o, 2), double.Start(o, 1)
			_, _ = late.Await(o)
			var got []int
			for i, r := range reprise.AsCompleted(o, late, double.Start(o, 7), early) {
				got = append(got, i, r.Value)
			}
			return got, nil
		}, "[2,4,0,2,1,14]"},
		{"as completed, left early", func(o *reprise.Orchestration, n int) (any, error) {
			lost := never.Start(o, reprise.None{})
			for range reprise.AsCompleted(o, lost, double.Start(o, 1)) {
				break
			}
			_, err := lost.Await(o)
			return errors.Is(err, reprise.ErrCanceled), nil
		}, "true"},
		{"in time", func(o *reprise.Orchestration, n int) (any, error) {
			return reprise.WithTimeout(o, time.Hour, double.Start(o, 4))
		}, "8"},
		{"too late", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.WithTimeout(o, time.Hour, never.Start(o, reprise.None{}))
			return []any{errors.Is(err, reprise.ErrTimeout), o.Now().Sub(began).String()}, nil
		}, `[true,"1h0m0s"]`},
		{"sleep", func(o *reprise.Orchestration, n int) (any, error) {
			o.Sleep(72 * time.Hour)
			return o.Now().Sub(began).String(), nil
		}, `"72h0m0s"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "1", "never")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
			open := map[int32]bool{} // whatever lost a race is cancelled
			for _, e := range r.recorded {
				switch b := e.Body.(type) {
				case *history.TaskScheduled, *history.TimerCreated:
					open[e.ID] = true
				case *history.TaskCompleted:
					delete(open, b.TaskID)
				case *history.TimerFired:
					delete(open, b.TimerID)
				case *history.TaskCanceled:
					delete(open, b.TaskID)
				case *history.TimerCanceled:
					delete(open, b.TimerID)
				}
			}
			if len(open) > 0 {
				t.Errorf("still open: %v\n%s", open, r.history())
			}
		})
	}
}

func TestErrorsKeepTheirIdentity(t *testing.T) {
	check := func(t *testing.T, how string, err error) {
		var d *declined
		var p *reprise.PanicError
		is := []bool{errors.Is(err, errGone), errors.As(err, &d), errors.Is(err, context.DeadlineExceeded)}
		want := map[string][]bool{"gone": {true, false, false}, "declined": {false, true, false}, "joined": {true, true, true}, "plain": {false, false, false}}[how]
		if !reflect.DeepEqual(is, want) || errors.Is(err, errOther) || errors.As(err, &p) {
			t.Errorf("%s: %v; gone, declined, deadline: %v", how, err, is)
		}
		if d != nil && d.Reason == "" {
			t.Errorf("%s: the value is lost: %+v", how, d)
		}
	}
	for _, how := range []string{"gone", "declined", "joined", "plain"} {
		r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
			_, err := fails.Call(o, how)
			check(t, how, err)
			return nil, fmt.Errorf("outer: %w", err)
		}), "test", "1")
		if r.end.Failure == nil || !strings.HasPrefix(r.end.Failure.Message, "outer: ") {
			t.Fatalf("%s: %+v", how, r.end)
		}
		// And once more over the wire, to whoever started the orchestration.
		events, err := history.DecodeEvents(history.EncodeEvents([]history.Event{{Body: r.end}}))
		if err != nil {
			t.Fatal(err)
		}
		check(t, how, reprise.ErrorOf(reprise.JSON, events[0].Body.(*history.ExecutionCompleted).Failure))
	}
	if code := reprise.FailureOf(reprise.JSON, fmt.Errorf("x: %w", errGone)).Code; code != "test.gone" {
		t.Errorf("a retry policy sees the code %q", code)
	}
	if reprise.FailureOf(reprise.JSON, nil) != nil || reprise.ErrorOf(reprise.JSON, nil) != nil || reprise.NonRetryable(nil) != nil {
		t.Error("no error became one")
	}
	if err := reprise.ErrorOf(reprise.JSON, reprise.FailureOf(reprise.JSON, fmt.Errorf("x: %w", reprise.NonRetryable(errGone)))); !reprise.IsNonRetryable(err) {
		t.Errorf("%v is retryable", err)
	}
}

func TestPanicError(t *testing.T) {
	r := both(t, with(func(*reprise.Orchestration, int) (any, error) { panic(errors.New("boom")) }), "test", "1")
	var p *reprise.PanicError
	if err := reprise.ErrorOf(reprise.JSON, r.end.Failure); !errors.As(err, &p) || p.Value != "boom" || !strings.Contains(p.Stack, "reprise_test.go:") {
		t.Errorf("%v: %+v", err, p)
	}
}

func TestRetry(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		_, first := fails.Call(o, "twice", reprise.Retry(3, time.Second))
		_, second := fails.Call(o, "twice", reprise.Retry(2, time.Second, reprise.Backoff(1), reprise.MaxInterval(time.Hour), reprise.TotalTime(time.Hour), reprise.NotOn(errGone)))
		return []bool{first == nil, second == nil}, nil
	}), "test", "1")
	if got := output(t, r); got != "[true,false]" {
		t.Errorf("%s", got)
	}
	want := &history.RetryPolicy{MaxAttempts: 2, First: time.Second, Backoff: 1, MaxInterval: time.Hour, Total: time.Hour, NonRetryable: []string{"test.gone"}}
	for _, e := range r.recorded {
		if b, ok := e.Body.(*history.TaskScheduled); ok && e.ID == 1 && !reflect.DeepEqual(b.Retry, want) {
			t.Errorf("policy %+v", b.Retry)
		}
	}
}

func TestRetryWith(t *testing.T) {
	var seen []string
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		seen = nil
		_, err := fails.Call(o, "gone", reprise.RetryWith(func(c reprise.RetryContext) (time.Duration, bool) {
			seen = append(seen, fmt.Sprint(c.Attempt, errors.Is(c.Err, errGone), c.Elapsed))
			return time.Duration(c.Attempt) * time.Minute, c.Attempt < 3
		}))
		_, fatal := fails.Call(o, "fatal", reprise.RetryWith(func(reprise.RetryContext) (time.Duration, bool) { return 0, true }))
		return []bool{errors.Is(err, errGone), errors.Is(fatal, errGone)}, nil
	}), "test", "1")
	if got := output(t, r); got != "[true,true]" {
		t.Errorf("%s", got)
	}
	if want := []string{"1 true 0s", "2 true 1m0s", "3 true 3m0s"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("%q", seen)
	}
}

func TestRepeatable(t *testing.T) {
	var logged bytes.Buffer
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		a, x := o.NewID(), o.Rand().IntN(1_000_000)
		o.Log().Info("first")
		if _, err := double.Call(o, x%10); err != nil {
			return nil, err
		}
		o.Log().With("k", "v").WithGroup("g").Info("second")
		b, y := o.NewID(), o.Rand().IntN(1_000_000)
		if a == b || len(a) != 36 || x == y {
			return nil, fmt.Errorf("%s %s %d %d", a, b, x, y)
		}
		return []any{o.InstanceID(), o.ExecutionID(), o.TaskHub(), a, b, x, y}, nil
	}, reprise.WithLogger(slog.New(slog.NewTextHandler(&logged, nil)))), "test", "1")
	_ = output(t, r)
	// Twice: the orchestration ran kept and rebuilt.
	if n := strings.Count(logged.String(), "msg=first"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, &logged)
	}
	if n := strings.Count(logged.String(), "instance=instance"); n != 4 {
		t.Errorf("%d lines tell the instance:\n%s", n, &logged)
	}
}

func TestBindErrors(t *testing.T) {
	r := reprise.NewRegistry()
	nothing := func(context.Context, int) (int, error) { return 0, nil }
	reprise.Bind(r, double, nothing)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	reprise.Bind(r, double, nothing)
	reprise.Bind(r, reprise.NewActivity[int, int](""), nothing)
	reprise.Bind(r, reprise.NewActivity[int, int]("nil"), nil)
	reprise.Bind(r, reprise.NewActivity[int, int]("retry", reprise.Retry(0, 0)), nothing)
	reprise.Bind(r, reprise.NewActivity[int, int]("codes", reprise.Retry(2, 0, reprise.NotOn(reprise.NewError(strings.Repeat("c", 9000), "no")))), nothing)
	reprise.Bind(r, reprise.NewActivity[int, int]("timeout", reprise.Timeout(-1)), nothing)
	reprise.Bind(r, reprise.NewActivity[int, chan int]("chan"), func(context.Context, int) (chan int, error) { return nil, nil })
	reprise.Bind(r, test, nil)
	want := []string{
		`activity "double": the name is bound already`, `activity "": the name is empty`, `activity "nil": the function is nil`,
		`activity "retry": retry policy with 0 attempts`,
		`activity "codes": retry policy with 1 codes of errors that are final, 9000 bytes together; at most 8192 are allowed`, `activity "timeout": timeout of -1ns`, `activity "chan": json: unsupported type: chan int`,
		`orchestration "test": the function is nil`,
	}
	for _, text := range want {
		if err := r.Err(); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not tell: %s", err, text)
		}
	}
	if names := r.Activities(); !reflect.DeepEqual(names, []string{"double"}) || len(r.Orchestrators()) != 0 {
		t.Errorf("bound: %v, %v", names, r.Orchestrators())
	}
}

func TestPayloads(t *testing.T) {
	if p, err := reprise.EncodePayload(reprise.JSON, "x", reprise.None{}); p != nil || err != nil {
		t.Errorf("None: %q, %v", p, err)
	}
	var payload *reprise.PayloadError
	large := reprise.Raw(make([]byte, history.MaxPayloadBytes+1))
	if _, err := reprise.EncodePayload(reprise.JSON, "input of x", large); !errors.As(err, &payload) || !errors.Is(err, reprise.ErrTooLarge) || !strings.Contains(err.Error(), "input of x") || !strings.Contains(err.Error(), "(16 MiB) are allowed: keep it elsewhere") {
		t.Errorf("too large: %v", err)
	}
	if _, err := reprise.DecodePayload[int](reprise.JSON, "output of x", history.Payload("{")); !errors.As(err, &payload) {
		t.Errorf("no JSON: %v", err)
	}
	// Some SDKs send an empty text where there is no value.
	if v, err := reprise.DecodePayload[struct{ A int }](reprise.JSON, "input of x", history.Payload{}); err != nil {
		t.Errorf("nothing: %v, %v", v, err)
	}
	// By name, without types; and an input over the limit fails the call only.
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		raw := reprise.NewActivity[reprise.Raw, reprise.Raw]("double")
		if _, err := raw.Call(o, large); !errors.Is(err, reprise.ErrTooLarge) {
			return nil, fmt.Errorf("large: %w", err)
		}
		v, err := raw.Call(o, reprise.Raw("21"))
		return string(v), err
	}), "test", "1")
	if got := output(t, r); got != `"42"` {
		t.Errorf("%s", got)
	}
	// Input that is not of the type fails the orchestration.
	bad := &run{registry: with(func(*reprise.Orchestration, int) (any, error) { return nil, nil })()}
	if end := bad.start(t, "test", `"text"`); end.Failure == nil || end.Failure.Code != "reprise.payload" {
		t.Errorf("%+v", end)
	}
}

func TestMisuse(t *testing.T) {
	var kept *reprise.Orchestration
	var foreign reprise.Future[int]
	for text, fn := range map[string]func(o *reprise.Orchestration){
		"zero Future":            func(o *reprise.Orchestration) { _, _ = reprise.Future[int]{}.Await(o) },
		"first of no futures":    func(o *reprise.Orchestration) { reprise.Select(o) },
		"with another":           func(o *reprise.Orchestration) { _, _ = foreign.Await(o) },
		"used after its end":     func(*reprise.Orchestration) { kept.Sleep(time.Second) },
		"another goroutine than": func(o *reprise.Orchestration) { elsewhere(func() { o.Sleep(time.Second) }) },
	} {
		first := &run{registry: with(func(o *reprise.Orchestration, _ int) (any, error) {
			kept, foreign = o, double.Start(o, 1)
			return nil, nil
		})()}
		first.start(t, "test", "1")
		r := &run{registry: with(func(o *reprise.Orchestration, _ int) (any, error) { fn(o); return nil, nil })()}
		if end := r.start(t, "test", "1"); end.Failure == nil || !strings.Contains(end.Failure.Message, text) {
			t.Errorf("%s: %+v", text, end.Failure)
		}
	}
}

// elsewhere runs fn on a goroutine of its own.
func elsewhere(fn func()) {
	var other sync.WaitGroup
	other.Go(fn)
	other.Wait()
}

// A retry handler may give up the future that it decides about.
func TestRetryWithCancels(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, _ int) (any, error) {
		var f reprise.Future[reprise.None]
		f = fails.Start(o, "gone", reprise.RetryWith(func(reprise.RetryContext) (time.Duration, bool) {
			f.Cancel(o)
			return time.Minute, false
		}))
		_, err := f.Await(o)
		return errors.Is(err, reprise.ErrCanceled), nil
	}), "test", "1")
	if got := output(t, r); got != "true" {
		t.Errorf("%s\n%s", got, r.history())
	}
}
