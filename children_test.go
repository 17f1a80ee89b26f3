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

var (
	kid    = reprise.NewOrchestration[int, string]("kid")
	clumsy = reprise.NewOrchestration[string, reprise.None]("clumsy")
	parent = reprise.NewOrchestration[int, any]("parent")
)

// family binds a parent and the children that it may have.
func family(fn func(o *reprise.Orchestration, n int) (any, error)) func() *reprise.Registry {
	return func() *reprise.Registry {
		r := with(fn)()
		reprise.Bind(r, parent, fn)
		reprise.Bind(r, kid, func(o *reprise.Orchestration, n int) (string, error) {
			twice, err := double.Call(o, n)
			return fmt.Sprintf("%s of %s: %d", o.InstanceID(), o.Parent().Instance, twice), err
		})
		reprise.Bind(r, clumsy, func(o *reprise.Orchestration, how string) (reprise.None, error) {
			_, err := fails.Call(o, how)
			return reprise.None{}, err
		})
		return r
	}
}

func TestChildren(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"call", func(o *reprise.Orchestration, n int) (any, error) {
			return kid.Call(o, n, reprise.ChildID("kid-1"))
		}, `"kid-1 of instance: 14"`},
		{"derived IDs differ", func(o *reprise.Orchestration, n int) (any, error) {
			all, err := reprise.All(o, kid.Start(o, 1), kid.Start(o, 2))
			return len(all) == 2 && all[0][:9] != all[1][:9], err
		}, "true"},
		{"three levels keep an error's identity", func(o *reprise.Orchestration, n int) (any, error) {
			if n > 0 {
				_, err := parent.Call(o, n-3)
				if n == 7 {
					return errors.Is(err, errGone), nil
				}
				return nil, fmt.Errorf("level %d: %w", n, err)
			}
			_, err := clumsy.Call(o, "gone")
			return nil, err
		}, "true"},
		{"retries", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := clumsy.Call(o, "always", reprise.Retry(3, time.Minute))
			return []any{err.Error(), o.Now().Sub(began).String()}, nil
		}, `["always","3m0s"]`},
		{"no retry of what is not retryable", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := clumsy.Call(o, "fatal", reprise.Retry(3, time.Minute))
			return []any{reprise.IsNonRetryable(err), o.Now().Sub(began).String()}, nil
		}, `[true,"0s"]`},
		{"names, versions and tags that nobody could keep", func(o *reprise.Orchestration, n int) (any, error) {
			tags := map[string]string{"k": strings.Repeat("v", history.MaxTagsBytes)}
			_, name := reprise.NewOrchestration[int, int]("a\x00b").Call(o, n)
			_, version := kid.Call(o, n, reprise.ChildVersion("1\x002"))
			_, detached := kid.Version(strings.Repeat("9", history.MaxNameBytes+1)).StartDetached(o, n)
			_, tagged := kid.Call(o, n, reprise.ChildTags(tags))
			_, unnamed := kid.Call(o, n, reprise.ChildTags(map[string]string{"": "v"}))
			_, garbled := kid.Call(o, n, reprise.ChildTags(map[string]string{"k": "\xff"}), reprise.ChildID("good"))
			_, activity := reprise.NewActivity[int, int]("\xff").Call(o, n)
			for i, err := range []error{name, version, detached, tagged, unnamed, garbled, activity} {
				if err == nil {
					return i, nil
				}
			}
			return strings.Count(fmt.Sprint(name, version, detached, tagged, unnamed, garbled, activity), "start"), nil
		}, "7"},
		{"detached", func(o *reprise.Orchestration, n int) (any, error) {
			return kid.StartDetached(o, n)
		}, `"00ff:0000"`},
		{"an invalid ID", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := kid.Call(o, n, reprise.ChildID("@entity"))
			var invalid *history.InvalidIDError
			return errors.As(err, &invalid), nil
		}, "true"},
		{"a race", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.WithTimeout(o, time.Hour, reprise.NewOrchestration[int, int]("held").Start(o, n))
			return errors.Is(err, reprise.ErrTimeout), nil
		}, "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, family(c.fn), "test", "7", "held")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}

// What the system says of a child is an error that callers can decide on.
func TestChildErrors(t *testing.T) {
	for typ, want := range map[string]error{
		history.FailureTerminated: reprise.ErrTerminated,
		history.FailureExists:     reprise.ErrInstanceExists,
		history.FailureTimeout:    reprise.ErrTimeout,
		history.FailureTooDeep:    reprise.ErrTooDeep,
		history.FailureFlooded:    reprise.ErrFlooded,
	} {
		err := fmt.Errorf("wrapped: %w", reprise.ErrorOf(reprise.JSON, &history.Failure{Type: typ, Message: "why"}))
		if !errors.Is(err, want) || errors.Is(err, reprise.ErrCanceled) || !strings.Contains(err.Error(), "why") {
			t.Errorf("%s: %v", typ, err)
		}
	}
	if err := reprise.ErrorOf(reprise.JSON, &history.Failure{Message: "why"}); errors.Is(err, reprise.ErrTerminated) {
		t.Error("an ordinary failure passes for a termination")
	}
}
