package leader

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
)

func (s *story) startRequest(t *testing.T, id, name string, opt func(string) string) StartRequest {
	req := StartRequest{Instance: ref(id), Name: name, Execution: history.ExecutionID(opt("execution")), Identity: s.identity(t, opt)}
	if req.Execution == "" {
		req.Execution = history.ExecutionID("x-" + id)
	}
	if in := opt("input"); in != "" {
		req.Input = history.Payload(in)
	}
	req.Trace, req.Version = traceOf(opt), opt("version")
	if n := number0(opt("size")); n > 0 {
		req.Input = make(history.Payload, n)
	}
	if after := opt("after"); after != "" {
		req.ScheduledStart = time.Now().Add(time.Duration(s.skew.Load())).Add(duration(t, after))
	}
	if d := opt("timeout"); d != "" {
		req.Timeout = duration(t, d)
	}
	switch opt("reuse") {
	case "replace":
		req.Reuse = ReusePolicy{}
		for st := history.Running; st <= history.Suspended; st++ {
			req.Reuse[st] = Replace
		}
	case "keep":
		req.Reuse = ReusePolicy{history.Running: KeepExisting, history.Pending: KeepExisting, history.Completed: KeepExisting}
	}
	return req
}

func (s *story) start(t *testing.T, id, name string, opt func(string) string) {
	req := s.startRequest(t, id, name, opt)
	go func() {
		a, err := s.leader.Start(context.Background(), req)
		var expired *ExpiredError
		if errors.As(err, &expired) {
			s.heard("started %s: %v; the clock is %s", id, err, expired.Clock.Sub(s.begin))
			return
		}
		if err != nil {
			s.heard("started %s: %v", id, err)
			return
		}
		s.heard("started %s: execution=%s started=%t", id, a.Execution, a.Started)
	}()
}

func (s *story) execute(t *testing.T, id, name string, opt func(string) string) {
	req := s.startRequest(t, id, name, opt)
	go func() {
		in, err := s.leader.Execute(context.Background(), req)
		s.heard("executed %s: %s %s input=%s output=%s %v", req.Instance.ID, in.Execution, in.Status, short(in.Input), short(in.Output), err)
	}()
}
