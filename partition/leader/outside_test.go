package leader

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
)

// outside plays what nodes and people outside say of an attempt.
func (s *story) outside(t *testing.T, cmd, name string, final bool, opt func(string) string) {
	id := s.newestAttempt(name, opt("fence"))
	token := history.AttemptToken{
		Hub: id.Hub, Instance: id.Instance, Execution: id.Execution, TaskID: id.TaskID, Epoch: id.Fence.Epoch, N: id.Fence.N,
	}
	var data history.Payload
	if text := opt("data"); text != "" {
		data = history.Payload(text)
	}
	what := describeAttempt(id)
	switch cmd {
	case "pending":
		r := ActivityResult{Attempt: id, Node: "n1", Pending: true, Progress: data}
		if ran := opt("ran"); ran != "" {
			r.Ran = duration(t, ran)
		}
		s.leader.Complete(r, func(err error) { s.note("%s is pending: %v", what, err) })
	case "heartbeat":
		s.leader.Heartbeats([]Heartbeat{{id, data}}, func(unwanted []AttemptID, err error) {
			s.note("heartbeat of %s: %d unwanted, %v", what, len(unwanted), err)
		})
	case "token":
		req := CompleteRequest{Token: token, Result: history.Payload(opt("result")), Identity: s.identity(t, opt)}
		if f := opt("failure"); f != "" {
			req.Result, req.Failure = nil, &history.Failure{Type: "error", Message: f, NonRetriable: final}
		}
		go func() { s.heard("completed %s: %v", what, s.leader.CompleteByToken(context.Background(), req)) }()
	case "beat":
		req := HeartbeatRequest{Token: token, Progress: data}
		go func() { s.heard("heard of %s: %v", what, s.leader.HeartbeatByToken(context.Background(), req)) }()
	}
}

// with runs one activity with options: "timeout-5s+attempts-2+heartbeat-1s".
func with(s *seen, arg string) []history.Body {
	task := &history.TaskScheduled{Name: "job", Input: history.Payload("in"), Options: &history.TaskOptions{}}
	length := func(v string) time.Duration {
		d, err := time.ParseDuration(v)
		if err != nil {
			panic(err)
		}
		return d
	}
	for option := range strings.SplitSeq(arg, "+") {
		k, v, _ := strings.Cut(option, "-")
		switch k {
		case "timeout":
			task.Timeout = length(v)
		case "attempts":
			task.Retry = &history.RetryPolicy{MaxAttempts: number(v), First: time.Second, Backoff: 1}
		case "heartbeat":
			task.Options.HeartbeatTimeout = length(v)
		case "start":
			task.Options.ScheduleToStart = length(v)
		case "close":
			task.Options.ScheduleToClose = length(v)
		case "once":
			task.Options.AtMostOnce = true
		case "priority":
			task.Options.Priority = int32(number(v))
		case "key":
			task.Options.FairnessKey = v
		case "nodes":
			task.Options.Nodes = map[string]string{v: "yes"}
		default:
			panic("unknown option " + option)
		}
	}
	want := []history.Body{task}
	if s.ended[0] == nil {
		return want
	}
	r, failed := outcomeOf(s.ended[0])
	if failed != nil {
		return append(want, failed)
	}
	return append(want, done(r))
}
