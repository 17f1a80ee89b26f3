package reprise_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

var held = reprise.NewOrchestration[int, int]("held")

// An orchestration that is asked to end sees it at its waits.
func TestCancellation(t *testing.T) {
	for _, c := range []struct {
		name   string
		fn     func(o *reprise.Orchestration, n int) (any, error)
		status history.Status
		want   string // of the output or the failure
	}{
		{"a wait", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			_, err := never.Call(o, reprise.None{})
			return nil, fmt.Errorf("calling: %w", err)
		}, history.Canceled, "calling: canceled: enough"},
		{"of all kinds", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			started := []reprise.Awaitable{never.Start(o, reprise.None{}), o.Timer(time.Hour), approved.Receive(o)}
			err := o.Sleep(time.Hour)
			var canceled *reprise.CanceledError
			if !errors.As(err, &canceled) {
				return nil, err
			}
			return []any{reprise.Select(o, started...), canceled.Reason, o.Now().Sub(began).String()}, nil
		}, history.Completed, `[0,"enough","0s"]`},
		{"what is started later fails at once", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			o.Sleep(time.Hour)
			_, errActivity := double.Call(o, n)
			_, errEvent := approved.Await(o)
			_, errChild := held.Call(o, n)
			_, errDetached := held.StartDetached(o, n)
			errSend := approved.Send(o, "other", decision{})
			errScope := o.Scope(func(*reprise.Orchestration) error { panic("ran") })
			errWithin := o.Within(time.Hour, func(*reprise.Orchestration) error { panic("ran") })
			_, errTimeout := reprise.WithTimeout(o, time.Hour, double.Start(o, n))
			for i, err := range []error{errActivity, errEvent, errChild, errDetached, errSend, errScope, errWithin, errTimeout, o.Sleep(0), test.ContinueAsNew(o, 1), o.Canceled()} {
				if !errors.Is(err, reprise.ErrCanceled) || !strings.Contains(err.Error(), "enough") {
					return nil, fmt.Errorf("%d: %w", i, err)
				}
			}
			return "all", nil
		}, history.Completed, `"all"`},
		{"an error of another kind", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			o.Sleep(time.Hour)
			return nil, errGone
		}, history.Failed, "gone"},
		{"a canceled future alone is no cancellation", func(o *reprise.Orchestration, n int) (any, error) {
			f := never.Start(o, reprise.None{})
			f.Cancel(o)
			return f.Await(o)
		}, history.Failed, "canceled"},
		{"cleanup is shielded", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			err := o.Sleep(time.Hour)
			_ = o.Shielded(func(o *reprise.Orchestration) error {
				n, _ = double.Call(o, n)
				return o.Sleep(time.Minute)
			})
			return nil, fmt.Errorf("%d at %v: %w", n, o.Now().Sub(began), err)
		}, history.Canceled, "14 at 1m0s: canceled: enough"},
		{"a shield that began before", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			err := o.Shielded(func(o *reprise.Orchestration) error { return o.Sleep(time.Minute) })
			return fmt.Sprint(err, o.Canceled(), o.Now().Sub(began)), nil
		}, history.Completed, `"\u003cnil\u003e canceled: enough 1m0s"`},
		{"a shield in a scope that is canceled", func(o *reprise.Orchestration, n int) (any, error) {
			return nil, o.Scope(func(o *reprise.Orchestration) error {
				ask.Start(o, "enough")
				return o.Shielded(func(inner *reprise.Orchestration) error {
					f := double.Start(inner, n)
					_, err := never.Start(o, reprise.None{}).Await(inner)
					n, _ := f.Await(inner)
					return fmt.Errorf("%d: %w", n, err)
				})
			})
		}, history.Canceled, "14: canceled: enough"},
		{"until a condition holds", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			within := o.Within(time.Minute, func(o *reprise.Orchestration) error {
				return o.WaitUntil(func() bool { return o.Now().Sub(began) > time.Hour })
			})
			held := o.WaitUntil(func() bool { return true })
			return nil, fmt.Errorf("%v, %v: %w", within, held, o.WaitUntil(func() bool { return false }))
		}, history.Canceled, "canceled: enough, <nil>: canceled: enough"},
		{"by itself", func(o *reprise.Orchestration, n int) (any, error) {
			o.Cancel(errGone)
			err := o.Sleep(time.Hour)
			if !errors.Is(err, errGone) {
				return nil, errors.New("the cause is lost")
			}
			return nil, err
		}, history.Canceled, "canceled: gone"},
		{"without a reason", func(o *reprise.Orchestration, n int) (any, error) {
			o.Cancel(nil)
			return nil, o.Sleep(time.Hour)
		}, history.Canceled, "canceled"},
		{"all of many say it once", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			_, err := reprise.All(o, never.Start(o, reprise.None{}), never.Start(o, reprise.None{}), never.Start(o, reprise.None{}))
			return nil, err
		}, history.Canceled, "canceled: enough"},
		{"as completed", func(o *reprise.Orchestration, n int) (any, error) {
			ask.Start(o, "enough")
			count := 0
			for _, r := range reprise.AsCompleted(o, never.Start(o, reprise.None{}), double.Start(o, n), never.Start(o, reprise.None{})) {
				if errors.Is(r.Err, reprise.ErrCanceled) {
					count++
				}
			}
			return count, nil
		}, history.Completed, "3"},
		{"on the way to a new execution", func(o *reprise.Orchestration, n int) (any, error) {
			err := test.ContinueAsNew(o, 8)
			ask.Start(o, "enough")
			o.Sleep(time.Hour)
			return nil, err
		}, history.Canceled, "canceled: enough"},
		{"goes on shielded", func(o *reprise.Orchestration, n int) (any, error) {
			if n == 8 {
				return n, o.Canceled()
			}
			ask.Start(o, "enough")
			o.Sleep(time.Hour)
			return nil, o.Shielded(func(o *reprise.Orchestration) error { return test.ContinueAsNew(o, 8) })
		}, history.Completed, "8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7", "never")
			got := string(r.end.Result)
			if r.end.Failure != nil {
				got = r.end.Failure.Message
			}
			if r.end.Status != c.status || got != c.want {
				t.Errorf("%s %s, want %s %s\n%s", r.end.Status, got, c.status, c.want, r.history())
			}
		})
	}
}

// A child of a cancelled scope is asked to end, and its end is awaited.
func TestCancelChildren(t *testing.T) {
	for _, c := range []struct {
		name string
		wait func(o *reprise.Orchestration, f reprise.Future[int]) error
	}{
		{"await", func(o *reprise.Orchestration, f reprise.Future[int]) error { _, err := f.Await(o); return err }},
		{"all", func(o *reprise.Orchestration, f reprise.Future[int]) error { _, err := reprise.All(o, f); return err }},
		{"any", func(o *reprise.Orchestration, f reprise.Future[int]) error {
			_, _, err := reprise.Any(o, f)
			return err
		}},
		{"with timeout", func(o *reprise.Orchestration, f reprise.Future[int]) error {
			_, err := reprise.WithTimeout(o, time.Hour, f)
			return err
		}},
		{"as completed", func(o *reprise.Orchestration, f reprise.Future[int]) (err error) {
			for i, r := range reprise.AsCompleted(o, never.Start(o, reprise.None{}), f) {
				if err = r.Err; i == 1 {
					break
				}
			}
			return err
		}},
		{"left behind by a race", func(o *reprise.Orchestration, f reprise.Future[int]) error {
			reprise.Select(o, f, never.Start(o, reprise.None{})) // the activity is canceled first
			_, err := f.Await(o)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
				f := held.Start(o, n, reprise.Retry(3, time.Hour))
				ask.Start(o, "enough")
				return nil, c.wait(o, f)
			}), "test", "7", "never", "held")
			if r.end.Status != history.Canceled || r.end.Failure.Message != "the child was canceled: enough" {
				t.Errorf("%s %+v\n%s", r.end.Status, r.end.Failure, r.history())
			}
			if n := strings.Count(r.history(), "SubOrchestrationInstanceCanceled"); n != 1 || !strings.Contains(r.history(), `SubOrchestrationInstanceCanceled of=#0 request reason="enough"`) {
				t.Errorf("the child was not asked once:\n%s", r.history())
			}
		})
	}
}

func TestScopes(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"in time", func(o *reprise.Orchestration, n int) (any, error) {
			err := o.Within(time.Hour, func(o *reprise.Orchestration) (err error) {
				n, err = double.Call(o, n)
				return err
			})
			return n, err
		}, "14"},
		{"too late", func(o *reprise.Orchestration, n int) (any, error) {
			err := o.Within(time.Hour, func(o *reprise.Orchestration) error {
				_, err := never.Call(o, reprise.None{})
				return err
			})
			return []any{errors.Is(err, reprise.ErrTimeout), errors.Is(err, reprise.ErrCanceled), err.Error(), o.Canceled() == nil, o.Now().Sub(began).String()}, nil
		}, `[true,true,"canceled: not done within 1h0m0s",true,"1h0m0s"]`},
		{"nested, the outer one ends first", func(o *reprise.Orchestration, n int) (any, error) {
			var inner error
			err := o.Within(time.Hour, func(o *reprise.Orchestration) error {
				inner = o.Within(2*time.Hour, func(o *reprise.Orchestration) error { return o.Sleep(24 * time.Hour) })
				return o.Sleep(0)
			})
			return []any{inner == err, errors.Is(err, reprise.ErrTimeout), o.Now().Sub(began).String()}, nil
		}, `[true,true,"1h0m0s"]`},
		{"nested, the inner one ends first", func(o *reprise.Orchestration, n int) (any, error) {
			var inner error
			err := o.Within(2*time.Hour, func(o *reprise.Orchestration) error {
				inner = o.Within(time.Hour, func(o *reprise.Orchestration) error { return o.Sleep(24 * time.Hour) })
				return o.Sleep(time.Minute)
			})
			return []any{errors.Is(inner, reprise.ErrTimeout), err, o.Now().Sub(began).String()}, nil
		}, `[true,null,"1h1m0s"]`},
		{"what is left open is canceled", func(o *reprise.Orchestration, n int) (any, error) {
			var f reprise.Future[int]
			err := o.Scope(func(o *reprise.Orchestration) error {
				f = never.Start(o, reprise.None{})
				return nil
			})
			_, canceled := f.Await(o)
			return []any{err, canceled.Error()}, nil
		}, `[null,"canceled: its scope was left"]`},
		{"a wait for what is not of the scope", func(o *reprise.Orchestration, n int) (any, error) {
			f := o.Timer(2 * time.Hour)
			err := o.Within(time.Hour, func(o *reprise.Orchestration) error {
				_, err := f.Await(o)
				return err
			})
			_, later := f.Await(o)
			return []any{errors.Is(err, reprise.ErrTimeout), later, o.Now().Sub(began).String()}, nil
		}, `[true,null,"2h0m0s"]`},
		{"by its code", func(o *reprise.Orchestration, n int) (any, error) {
			err := o.Scope(func(o *reprise.Orchestration) error {
				first, rest := double.Start(o, n), never.Start(o, reprise.None{})
				if _, err := first.Await(o); err != nil {
					return err
				}
				o.Cancel(errGone)
				o.Cancel(errOther) // once is enough
				_, err := rest.Await(o)
				return err
			})
			return []any{errors.Is(err, errGone), errors.Is(err, errOther), errors.Is(err, reprise.ErrCanceled), o.Canceled() == nil}, nil
		}, `[true,false,true,true]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7", "never")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}

// A cancellation keeps its identity across nodes.
func TestCanceledErrorTravels(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		return nil, o.Within(time.Hour, func(o *reprise.Orchestration) error {
			return fmt.Errorf("step: %w", o.Sleep(24*time.Hour))
		})
	}), "test", "7")
	err := reprise.ErrorOf(reprise.JSON, r.end.Failure)
	var canceled *reprise.CanceledError
	if !errors.Is(err, reprise.ErrCanceled) || !errors.Is(err, reprise.ErrTimeout) || !errors.As(err, &canceled) || canceled.Reason != "not done within 1h0m0s" {
		t.Errorf("%v: %+v", err, r.end.Failure)
	}
	if r.end.Status != history.Failed { // the orchestration itself was not cancelled
		t.Errorf("status %s", r.end.Status)
	}
}
