package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
)

// Local activities run within one episode, in the order of the code; what they came
// to is in the history, and replay does not run them.
func TestLocalActivities(t *testing.T) {
	registry := func() *reprise.Registry {
		return with(func(o *reprise.Orchestration, n int) (any, error) {
			for range 3 {
				var err error
				if n, err = double.Call(o, n, reprise.Local()); err != nil {
					return nil, err
				}
			}
			o.Sleep(time.Minute)
			f := double.Start(o, n, reprise.Local())
			if !f.Done() {
				return nil, errors.New("a local activity is done when it has been started")
			}
			f.Cancel(o) // too late
			return f.Await(o)
		})()
	}
	r := both(t, registry, "test", "5")
	if output(t, r) != "80" {
		t.Errorf("%s", r.end.Result)
	}
	if n := strings.Count(r.history(), "OrchestratorStarted"); n != 2 {
		t.Errorf("%d episodes:\n%s", n, r.history())
	}
}

// A retry waits for a durable timer; all attempts have the same key, and replay
// runs none of them again.
func TestLocalRetries(t *testing.T) {
	flaky := reprise.NewActivity[reprise.None, string]("flaky", reprise.Local())
	var seen []string
	registry := func() *reprise.Registry {
		seen = nil
		r := with(func(o *reprise.Orchestration, n int) (any, error) {
			return flaky.Call(o, reprise.None{}, reprise.Retry(3, time.Minute))
		})()
		reprise.Bind(r, flaky, func(ctx context.Context, _ reprise.None) (string, error) {
			a := reprise.Attempt(ctx)
			seen = append(seen, fmt.Sprint(a.Key, " attempt ", a.Number))
			if a.Number < 3 {
				return "", errGone
			}
			return "at last", nil
		})
		return r
	}
	r := both(t, registry, "test", "5")
	if output(t, r) != `"at last"` {
		t.Errorf("%s", r.end.Result)
	}
	if got := strings.Join(seen, "; "); got != "key 0 attempt 1; key 0 attempt 2; key 0 attempt 3" {
		t.Errorf("ran %s", got)
	}
	failed := both(t, func() *reprise.Registry {
		r := with(func(o *reprise.Orchestration, n int) (any, error) {
			_, err := fails.Call(o, "gone", reprise.Local(), reprise.Retry(2, time.Second))
			return errors.Is(err, errGone), nil
		})()
		return r
	}, "test", "5")
	if output(t, failed) != "true" || strings.Count(failed.history(), "LocalTaskRun") != 2 {
		t.Errorf("%s\n%s", failed.end.Result, failed.history())
	}
}
