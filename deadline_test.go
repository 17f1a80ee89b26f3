package reprise_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// When the deadline of an orchestration has passed it is cancelled, and may clean up.
func TestDeadline(t *testing.T) {
	for _, c := range []struct {
		name   string
		fn     func(o *reprise.Orchestration, n int) (any, error)
		status history.Status
		want   string
	}{
		{"in time", func(o *reprise.Orchestration, n int) (any, error) { return n, o.Sleep(time.Minute) }, history.Completed, "7"},
		{"too late", func(o *reprise.Orchestration, n int) (any, error) {
			err := o.Sleep(24 * time.Hour)
			_ = o.Shielded(func(o *reprise.Orchestration) error { return o.Sleep(time.Minute) })
			return nil, fmt.Errorf("%v, at %v: %w", errors.Is(err, reprise.ErrTimeout), o.Now().Sub(began), err)
		}, history.Canceled, "true, at 1h1m0s: canceled: the orchestration's time is over"},
		{"it is kept", func(o *reprise.Orchestration, n int) (any, error) {
			if err := o.Sleep(25 * time.Minute); err != nil {
				return nil, fmt.Errorf("round %d: %w", n, err)
			}
			return nil, test.ContinueAsNew(o, n+1)
		}, history.Canceled, "round 9: canceled: the orchestration's time is over"},
	} {
		for _, rebuild := range []bool{false, true} {
			r := &run{registry: with(c.fn)(), rebuild: rebuild}
			r.execute(t, &history.ExecutionStarted{Name: "test", ExecutionID: "00ff", Input: history.Payload("7"), Deadline: began.Add(time.Hour)}, "instance")
			got := string(r.end.Result)
			if r.end.Failure != nil {
				got = r.end.Failure.Message
			}
			if r.end.Status != c.status || got != c.want {
				t.Errorf("%s: %s %s, want %s %s\n%s", c.name, r.end.Status, got, c.status, c.want, r.history())
			}
		}
	}
}

// A parent gives its child a limit, which travels with the start.
func TestChildTimeout(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		_, wrong := held.Call(o, n, reprise.Timeout(0))
		_, err := held.StartDetached(o, n, reprise.Timeout(time.Minute))
		ask.Start(o, "enough")
		_, ended := held.Call(o, n, reprise.Timeout(time.Hour))
		return []string{wrong.Error(), ended.Error()}, err
	}), "test", "7", "held")
	if got, want := output(t, r), `["start sub-orchestration \"held\": timeout of 0s; it must be above 0","the child was canceled: enough"]`; got != want {
		t.Errorf("%s, want %s\n%s", got, want, r.history())
	}
	var timeouts []time.Duration
	for _, e := range r.recorded {
		if b, ok := e.Body.(*history.SubOrchestrationInstanceCreated); ok {
			timeouts = append(timeouts, b.Timeout)
		}
	}
	if len(timeouts) != 2 || timeouts[0] != time.Minute || timeouts[1] != time.Hour {
		t.Errorf("timeouts %v", timeouts)
	}
}
