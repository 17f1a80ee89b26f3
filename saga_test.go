package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

var (
	reserve = reprise.NewActivity[string, int]("reserve")
	release = reprise.NewActivity[string, reprise.None]("release")
	charge  = reprise.NewActivity[string, int]("charge")
	refund  = reprise.NewActivity[reprise.Undo[string, int], reprise.None]("refund")
	trip    = reprise.NewOrchestration[string, int]("trip")
)

// booking binds the activities of a saga; those that act note it in the log.
func booking(fn func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error), log *[]string) *reprise.Registry {
	r := reprise.NewRegistry()
	act := func(what string) (int, error) {
		*log = append(*log, what)
		switch {
		case strings.HasSuffix(what, "fail"):
			return 0, errors.New(what)
		case strings.HasSuffix(what, "late"):
			return 0, reprise.ErrTimeout
		case strings.HasSuffix(what, "unknown"):
			return 0, reprise.ErrOutcomeUnknown
		case strings.HasSuffix(what, "refused"): // by the last attempt
			return 0, reprise.ErrorOf(reprise.JSON, &history.Failure{Type: "error", Message: what, MayHaveActed: true})
		case strings.HasSuffix(what, "flooded"):
			return 0, reprise.ErrFlooded
		case strings.HasSuffix(what, "overlarge"): // as the server ends a child
			return 0, reprise.ErrorOf(reprise.JSON, &history.Failure{Type: history.FailureTooLarge, Message: "too much"})
		case strings.HasSuffix(what, "panic"):
			return 0, &reprise.PanicError{Value: what}
		}
		return len(what), nil
	}
	reprise.Bind(r, reserve, func(_ context.Context, s string) (int, error) { return act("reserve " + s) })
	reprise.Bind(r, charge, func(_ context.Context, s string) (int, error) { return act("charge " + s) })
	reprise.Bind(r, release, func(_ context.Context, s string) (reprise.None, error) {
		_, err := act("release " + strings.TrimSuffix(strings.TrimSuffix(s, " late"), " panic"))
		return reprise.None{}, err
	})
	reprise.Bind(r, refund, func(_ context.Context, u reprise.Undo[string, int]) (reprise.None, error) {
		*log = append(*log, fmt.Sprintf("refund %s %d %t", u.Input, u.Output, u.Done))
		return reprise.None{}, nil
	})
	reprise.Bind(r, trip, func(o *reprise.Orchestration, in string) (n int, err error) {
		var saga reprise.Saga
		defer saga.Compensate(o, &err)
		return fn(o, &saga, in)
	})
	return r
}

func TestSaga(t *testing.T) {
	for _, c := range []struct {
		name    string
		fn      func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error)
		status  history.Status
		message string
		want    []string
	}{
		{"success undoes nothing", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			if _, err := reprise.Step(o, s, reserve, release, "a").Await(o); err != nil {
				return 0, err
			}
			return reprise.StepWithOutput(o, s, charge, refund, "b").Await(o)
		}, history.Completed, "", []string{"reserve a", "charge b"}},
		{"cancelled after it decided to continue as new", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			if _, err := reprise.Step(o, s, reserve, release, "a").Await(o); err != nil {
				return 0, err
			}
			next := trip.ContinueAsNew(o, "again")
			o.Cancel(errGone)
			return 0, next
		}, history.Canceled, "canceled: gone", []string{"reserve a", "release a"}},
		{"newest first", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, _ = reprise.Step(o, s, reserve, release, "a").Await(o)
			_, _ = reprise.StepWithOutput(o, s, charge, refund, "b").Await(o)
			return 0, errGone
		}, history.Failed, "gone", []string{"reserve a", "charge b", "refund b 8 true", "release a"}},
		{"what failed is not undone", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, _ = reprise.Step(o, s, reserve, release, "a").Await(o)
			return reprise.Step(o, s, reserve, release, "fail").Await(o)
		}, history.Failed, "reserve fail", []string{"reserve a", "reserve fail", "release a"}},
		{"what nobody knows is undone", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, _ = reprise.Step(o, s, reserve, release, "a late").Await(o)
			_, _ = reprise.Step(o, s, reserve, release, "b panic").Await(o)
			_, err := reprise.StepWithOutput(o, s, charge, refund, "c late").Await(o)
			return 0, err
		}, history.Failed, "timed out", []string{"reserve a late", "reserve b panic", "charge c late", "refund c late 0 false", "release b", "release a"}},
		{"what may have acted before it was lost is undone", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, _ = reprise.StepWithOutput(o, s, charge, refund, "a flooded").Await(o) // a child that the server ended
			_, _ = reprise.StepWithOutput(o, s, charge, refund, "c overlarge").Await(o)
			_, err := reprise.StepWithOutput(o, s, charge, refund, "b unknown").Await(o)
			return 0, err
		}, history.Failed, "the outcome of the activity is unknown", []string{"charge a flooded", "charge c overlarge", "charge b unknown", "refund b unknown 0 false", "refund c overlarge 0 false", "refund a flooded 0 false"}},
		{"what an attempt before the last may have done is undone", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, err := reprise.StepWithOutput(o, s, charge, refund, "a refused").Await(o)
			if !errors.Is(err, reprise.ErrOutcomeUnknown) {
				return 0, errGone
			}
			return 0, fmt.Errorf("step: %w", err)
		}, history.Failed, "step: charge a refused", []string{"charge a refused", "refund a refused 0 false"}},
		{"what is pending settles first", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			reprise.Step(o, s, reserve, release, "a")
			reprise.Step(o, s, reserve, release, "b")
			return 0, errGone
		}, history.Failed, "gone", []string{"reserve a", "reserve b", "release b", "release a"}},
		{"leaving a loop", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			fs := []reprise.Future[int]{reprise.Step(o, s, reserve, release, "fail"), reprise.Step(o, s, reserve, release, "b")}
			for _, r := range reprise.AsCompleted(o, fs...) {
				if r.Err != nil {
					return 0, r.Err // the other is canceled, and may be done already
				}
			}
			return 0, nil
		}, history.Failed, "reserve fail", []string{"reserve fail", "reserve b", "release b"}},
		{"canceled", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			if _, err := reprise.Step(o, s, reserve, release, "a").Await(o); err != nil {
				return 0, err
			}
			ask.Start(o, "enough")
			reprise.StepWithOutput(o, s, charge, refund, "b")
			if err := o.Sleep(time.Hour); err != nil {
				_, _ = reprise.Step(o, s, reserve, release, "never begun").Await(o)
				return 0, err
			}
			return 0, nil
		}, history.Canceled, "canceled: enough", []string{"reserve a", "charge b", "refund b 0 false", "release a"}},
		{"an undo that fails", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			s.Add("the first", func(o *reprise.Orchestration) error { return o.Sleep(time.Minute) })
			s.Add("the second", func(*reprise.Orchestration) error { return errOther })
			s.Add("the third", func(*reprise.Orchestration) error { panic("boom") })
			o.Cancel(errGone)
			return 0, o.Sleep(0)
		}, history.Failed, "canceled: gone\nundo the third: panic: boom\nundo the second: other", nil},
		{"a panic", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			_, _ = reprise.Step(o, s, reserve, release, "a").Await(o)
			panic("boom")
		}, history.Failed, "boom", []string{"reserve a", "release a"}},
		{"a panic, and an undo that fails", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			s.Add("it", func(*reprise.Orchestration) error { return errOther })
			panic("boom")
		}, history.Failed, "boom; then undo it: other", nil},
		{"continuing as new is no error", func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
			if in == "again" {
				return 1, nil
			}
			_, _ = reprise.Step(o, s, reserve, release, "a").Await(o)
			return 0, trip.ContinueAsNew(o, "again")
		}, history.Completed, "", []string{"reserve a"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, rebuild := range []bool{false, true} {
				var log []string
				r := &run{registry: booking(c.fn, &log), rebuild: rebuild}
				end := r.start(t, "trip", `"x"`)
				message := ""
				if end.Failure != nil {
					message = end.Failure.Message
				}
				if end.Status != c.status || message != c.message || !slices.Equal(log, c.want) {
					t.Errorf("rebuilt %t: %s %q after %q, want %s %q after %q\n%s", rebuild, end.Status, message, log, c.status, c.message, c.want, r.history())
				}
			}
		})
	}
}

// A step may be a sub-orchestration. That it could not be undone travels.
func TestSagaOfOrchestrations(t *testing.T) {
	var log []string
	r := booking(func(o *reprise.Orchestration, s *reprise.Saga, in string) (int, error) {
		s.Add("the booking", func(*reprise.Orchestration) error { return errOther })
		return 0, errGone
	}, &log)
	outer := reprise.NewOrchestration[int, int]("outer")
	reprise.Bind(r, outer, func(o *reprise.Orchestration, _ int) (n int, err error) {
		var saga reprise.Saga
		defer saga.Compensate(o, &err)
		return reprise.Step(o, &saga, trip, trip, "x").Await(o)
	})
	end := (&run{registry: r}).start(t, "outer", "1")
	err := reprise.ErrorOf(reprise.JSON, end.Failure)
	var failed *reprise.CompensationError
	if !errors.Is(err, errGone) || !errors.Is(err, errOther) || !errors.As(err, &failed) || !slices.Equal(failed.Steps, []string{"the booking"}) {
		t.Errorf("%v: %+v", err, end.Failure)
	}
}

// The stack of a panic is that of the code that panicked, not of the compensation.
func TestSagaKeepsTheStack(t *testing.T) {
	var log []string
	end := (&run{registry: booking(func(*reprise.Orchestration, *reprise.Saga, string) (int, error) { return explode() }, &log)}).start(t, "trip", `"x"`)
	if !strings.Contains(end.Failure.Stack, "reprise_test.explode") {
		t.Errorf("the stack does not tell who panicked:\n%s", end.Failure.Stack)
	}
}

//go:noinline
func explode() (int, error) { panic("boom") }

// That a child's step may have acted is known where the child is a step.
func TestSagaOfAChildThatMayHaveActed(t *testing.T) {
	var log []string
	r := booking(func(o *reprise.Orchestration, _ *reprise.Saga, in string) (int, error) {
		if in == "it" {
			_, err := charge.Call(o, "refused")
			return 0, fmt.Errorf("child: %w", err)
		}
		return 1, nil
	}, &log)
	outer := reprise.NewOrchestration[int, int]("outer")
	reprise.Bind(r, outer, func(o *reprise.Orchestration, _ int) (n int, err error) {
		var saga reprise.Saga
		defer saga.Compensate(o, &err)
		return reprise.Step(o, &saga, trip, release, "it").Await(o)
	})
	end := (&run{registry: r}).start(t, "outer", "1")
	if want := []string{"charge refused", "release it"}; !slices.Equal(log, want) || end.Status != history.Failed {
		t.Errorf("%s after %q, want %q", end.Status, log, want)
	}
}
