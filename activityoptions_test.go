package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// Options travel with what is scheduled; those that make no sense are errors where the
// activity is started, and where it is bound.
func TestActivityOptions(t *testing.T) {
	act := reprise.NewActivity[int, int]("act", reprise.Priority(1), reprise.FairnessKey("t1"))
	bad := map[string][]reprise.ActivityOption{
		"heartbeat timeout of":  {reprise.HeartbeatTimeout(0)},
		"schedule-to-start":     {reprise.ScheduleToStart(-1)},
		"schedule-to-close":     {reprise.ScheduleToClose(0)},
		`node label "gpu"`:      {reprise.OnNodes("gpu")},
		"each key once":         {reprise.OnNodes("a=1", "a=2")},
		"fairness key":          {reprise.FairnessKey(strings.Repeat("x", 200))},
		"demands 9 labels":      {reprise.OnNodes("1=", "2=", "3=", "4=", "5=", "6=", "7=", "8=", "9=")},
		"local activity takes":  {reprise.Local(), reprise.AtMostOnce()},
		"at most 64 bytes of U": {reprise.OnNodes("a=" + strings.Repeat("x", 100))},
	}
	r := reprise.NewRegistry()
	reprise.Bind(r, act, func(context.Context, int) (int, error) { return 0, nil })
	o := reprise.NewOrchestration[int, []string]("o")
	reprise.Bind(r, o, func(o *reprise.Orchestration, _ int) ([]string, error) {
		var wrong []string
		for what, opts := range bad {
			if _, err := act.Call(o, 1, opts...); err == nil || !strings.Contains(err.Error(), what) {
				wrong = append(wrong, fmt.Sprintf("%s: %v", what, err))
			}
		}
		_, err := act.Call(o, 1, reprise.AtMostOnce(), reprise.HeartbeatTimeout(time.Second), reprise.ScheduleToStart(time.Minute),
			reprise.ScheduleToClose(time.Hour), reprise.OnNodes("gpu=true", "zone="), reprise.Priority(-7))
		return wrong, err
	})
	run := &run{registry: r}
	if end := run.start(t, "o", "1"); string(end.Result) != "null" {
		t.Errorf("%s, %+v", end.Result, end.Failure)
	}
	var lines []string
	for _, e := range run.recorded {
		if e.Body.Kind() == history.KindTaskScheduled {
			lines = append(lines, history.Describe(e))
		}
	}
	want := `#0 TaskScheduled "act" input=1 heartbeat=1s schedule-to-start=1m0s schedule-to-close=1h0m0s at-most-once priority=-7 fairness="t1" nodes="gpu=true,zone="`
	if len(lines) != 1 || lines[0] != want {
		t.Errorf("%q, want %s", lines, want)
	}
	reprise.Bind(r, reprise.NewActivity[int, int]("bad", reprise.ScheduleToStart(0)), func(context.Context, int) (int, error) { return 0, nil })
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), `bind activity "bad"`) {
		t.Errorf("bound: %v", err)
	}
}

func TestActivityLimits(t *testing.T) {
	act := reprise.NewActivity[int, int]("act")
	for text, l := range map[string]reprise.ActivityLimits{
		"below 0":      {AtOnce: -1},
		"rate":         {RatePerCluster: reprise.Rate{Count: 3}},
		"":             {AtOnce: 2, AtOncePerCluster: 5, Rate: reprise.Rate{Count: 3, Per: time.Second}},
		"limits twice": {},
	} {
		r := reprise.NewRegistry()
		reprise.LimitActivity(r, act, l)
		if text == "limits twice" {
			reprise.LimitActivity(r, act, l)
		}
		if err := r.Err(); (err == nil) != (text == "") || err != nil && !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
		if text == "" && r.Limits("act") != l {
			t.Errorf("limits are %+v", r.Limits("act"))
		}
	}
}

// What the system says of an activity is known by errors.Is, and a progress that is not
// there is the zero value.
func TestActivityErrors(t *testing.T) {
	for kind, want := range map[string]error{history.FailureTimeout: reprise.ErrTimeout, history.FailureOutcomeUnknown: reprise.ErrOutcomeUnknown} {
		if err := reprise.ErrorOf(reprise.JSON, &history.Failure{Type: kind}); !errors.Is(err, want) {
			t.Errorf("%s is not %v", kind, want)
		}
	}
	if n, err := reprise.Progress[int](t.Context()); n != 0 || err != nil {
		t.Errorf("progress %d, %v", n, err)
	}
	token, err := history.ParseAttemptToken(reprise.AttemptInfo{TaskHub: "h", Instance: "i", Execution: "e", TaskID: 3, Fence: reprise.Fence{Epoch: 4, N: 5}}.Token())
	if want := (history.AttemptToken{Hub: "h", Instance: "i", Execution: "e", TaskID: 3, Epoch: 4, N: 5}); err != nil || token != want {
		t.Errorf("token %+v, %v", token, err)
	}
}
