package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var errNo = reprise.NewError("test.no", "no")

// activities has one activity for each way to end.
func activities() *Activities {
	r := reprise.NewRegistry()
	bind := func(name string, fn func(context.Context, string) (string, error)) {
		reprise.Bind(r, reprise.NewActivity[string, string](name), fn)
	}
	bind("echo", func(_ context.Context, s string) (string, error) { return s, nil })
	bind("fail", func(context.Context, string) (string, error) { return "", reprise.NonRetryable(errNo) })
	bind("panic", func(context.Context, string) (string, error) { panic("boom") })
	bind("shout", func(context.Context, string) (string, error) { panic(strings.Repeat("x", 20<<20)) })
	bind("goexit", func(context.Context, string) (string, error) { runtime.Goexit(); return "", nil })
	bind("attempt", func(ctx context.Context, _ string) (string, error) {
		a := reprise.Attempt(ctx)
		return a.Key + " " + a.Fence.String() + " " + string(a.Instance), nil
	})
	bind("heeds", func(ctx context.Context, _ string) (string, error) { <-ctx.Done(); return "", ctx.Err() })
	bind("deaf", func(context.Context, string) (string, error) { time.Sleep(time.Hour); return "late", nil })
	return NewActivities(r, Options{Node: "n1"})
}

func task(name string) leader.ActivityTask {
	return leader.ActivityTask{
		Attempt: leader.AttemptID{Partition: 1, Hub: "default", Instance: "i", Execution: "e", TaskID: 4, Fence: leader.Fence{Epoch: 2, N: 3}},
		Number:  1, Name: name, Input: history.Payload(`"in"`), Key: "k",
	}
}

func unheard(history.Payload) {}

func TestActivities(t *testing.T) {
	a := activities()
	for name, want := range map[string]leader.ActivityResult{
		"echo":    {Result: history.Payload(`"in"`)},
		"attempt": {Result: history.Payload(`"k 0000000000000002-0000000000000003 i"`)},
		"fail":    {Failure: &history.Failure{Code: "test.no", Message: "no", NonRetriable: true}},
		"panic":   {Failure: &history.Failure{Type: history.FailurePanic, Message: "boom"}},
		"goexit":  {Failure: &history.Failure{Type: history.FailurePanic, Message: "the activity called runtime.Goexit"}},
		"unknown": {Failure: &history.Failure{Type: failureUnbound, Message: `no activity is bound to the name "unknown"`}},
	} {
		got := a.Run(t.Context(), task(name), unheard)
		if got.Attempt != task(name).Attempt || got.Node != "n1" || string(got.Result) != string(want.Result) || (got.Failure == nil) != (want.Failure == nil) {
			t.Errorf("%s: %+v", name, got)
			continue
		}
		if f, w := got.Failure, want.Failure; f != nil && (f.Message != w.Message || f.Code != w.Code || f.NonRetriable != w.NonRetriable || w.Type != "" && f.Type != w.Type) {
			t.Errorf("%s: failure %+v", name, f)
		}
		if name == "panic" && !strings.Contains(got.Failure.Stack, "activities_test.go:") {
			t.Errorf("stack: %s", got.Failure.Stack)
		}
	}
	bad := task("echo")
	bad.Input = history.Payload("{")
	if got := a.Run(t.Context(), bad, unheard); got.Failure == nil || !got.Failure.NonRetriable || got.Failure.Code != "reprise.payload" {
		t.Errorf("input that is no JSON: %+v", got.Failure)
	}
	if names := a.Names(); !slices.Equal(names, []string{"attempt", "deaf", "echo", "fail", "goexit", "heeds", "panic", "shout"}) {
		t.Errorf("names: %v", names)
	}
}

func TestLongPanicIsCut(t *testing.T) {
	got := activities().Run(t.Context(), task("shout"), unheard)
	if n := got.Failure.Bytes(); n > history.MaxFailureTextBytes || !strings.HasPrefix(got.Failure.Message, "xxx") {
		t.Errorf("a failure of %d bytes", n)
	}
}

func TestActivityTimeout(t *testing.T) {
	for _, name := range []string{"heeds", "deaf"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := activities()
				limited := task(name)
				limited.Timeout = time.Minute
				began := time.Now()
				got := a.Run(t.Context(), limited, unheard)
				if got.Failure == nil || got.Failure.Type != history.FailureTimeout || time.Since(began) != time.Minute {
					t.Errorf("after %v: %+v", time.Since(began), got)
				}
				if !errors.Is(reprise.ErrorOf(reprise.JSON, got.Failure), reprise.ErrTimeout) {
					t.Errorf("not ErrTimeout: %+v", got.Failure)
				}
				if name == "deaf" && a.Abandoned() != 1 {
					t.Errorf("%d abandoned", a.Abandoned())
				}
				time.Sleep(2 * time.Hour) // longer than the deaf one takes
				synctest.Wait()
				if a.Abandoned() != 0 {
					t.Errorf("%d abandoned at the end", a.Abandoned())
				}
			})
		})
	}
}

func TestActivityCanceled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		got := activities().Run(ctx, task("heeds"), unheard)
		if got.Failure == nil || got.Failure.Type != history.FailureCanceled {
			t.Errorf("%+v", got)
		}
	})
}

// An attempt is heard of, may not be silent, and is left to somebody outside.
func TestActivityHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := reprise.NewRegistry()
		reprise.Bind(r, reprise.NewActivity[int, string]("beats"), func(ctx context.Context, n int) (string, error) {
			saved, err := reprise.Progress[int](ctx)
			for i := range n {
				if err == nil {
					time.Sleep(900 * time.Millisecond)
					err = reprise.Heartbeat(ctx, saved+i+1)
				}
			}
			if err != nil {
				return "", err
			}
			if err := reprise.Heartbeat(ctx, reprise.Raw(make([]byte, history.MaxProgressBytes+1))); !errors.Is(err, reprise.ErrTooLarge) {
				return "", reprise.NonRetryable(errors.New("too much progress"))
			}
			if n == 3 {
				return "", reprise.ErrPending
			}
			<-ctx.Done()
			return "", reprise.Heartbeat(ctx, nil)
		})
		a := NewActivities(r, Options{})
		beating := task("beats")
		beating.Options = &history.TaskOptions{HeartbeatTimeout: time.Second}
		beating.Progress = history.Payload("100")
		for input, want := range map[string]string{"3": "pending after 2.7s with 103", "2": "timeout after 2.8s with 102"} {
			var heard []string
			beating.Input = history.Payload(input)
			began := time.Now()
			got := a.Run(t.Context(), beating, func(p history.Payload) { heard = append(heard, string(p)) })
			text := fmt.Sprintf("after %v with %s", time.Since(began), got.Progress)
			switch {
			case got.Pending:
				text = "pending " + text
				if got.Ran != time.Since(began) || got.Failure != nil {
					t.Errorf("%+v", got)
				}
			case got.Failure != nil:
				text = got.Failure.Type + " " + text
			}
			if text != want || len(heard) == 0 || heard[len(heard)-1] != string(got.Progress) {
				t.Errorf("%s: %s, want %s; heard of %v", input, text, want, heard)
			}
		}
	})
	if err := reprise.Heartbeat(t.Context(), 1); err == nil {
		t.Error("a heartbeat without an activity")
	}
}
