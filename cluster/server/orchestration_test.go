package server

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// asked is an Asked made of functions.
type asked struct {
	query  func(leader.QueryRequest) (leader.QueryAnswer, error)
	update func(leader.UpdateRequest) (leader.UpdateReply, error)
	watch  func(context.Context, leader.WatchRequest) (leader.WatchAnswer, error)
}

func (f *asked) Watch(ctx context.Context, r leader.WatchRequest) (leader.WatchAnswer, error) {
	return f.watch(ctx, r)
}

func (f *asked) Update(_ context.Context, r leader.UpdateRequest) (leader.UpdateReply, error) {
	return f.update(r)
}

func (f *asked) Query(_ context.Context, r leader.QueryRequest) (leader.QueryAnswer, error) {
	return f.query(r)
}

func TestQuery(t *testing.T) {
	for _, c := range []struct {
		answer leader.QueryAnswer
		err    error
		code   codes.Code
		reason string
	}{
		{answer: leader.QueryAnswer{Result: history.Payload("7")}},
		{answer: leader.QueryAnswer{Failure: &history.Failure{Message: "no", Code: "shop.no"}}},
		{err: fmt.Errorf("%w: query", leader.ErrNoHandler), code: codes.FailedPrecondition, reason: "no-handler"},
		{err: leader.ErrUnbound, code: codes.FailedPrecondition, reason: "unbound"},
		{err: leader.ErrNotFound, code: codes.NotFound, reason: "not-found"},
	} {
		var got leader.QueryRequest
		_, conn := dial(t, &fake{Asked: &asked{query: func(r leader.QueryRequest) (leader.QueryAnswer, error) {
			got = r
			return c.answer, c.err
		}}})
		ctx := metadata.AppendToOutgoingContext(t.Context(), "taskhub", "h")
		var trailer metadata.MD
		m, err := reprisev1.NewOrchestrationServiceClient(conn).QueryInstance(ctx,
			&reprisev1.QueryInstanceRequest{InstanceId: "i", Name: "q", Input: wrapperspb.Bytes([]byte("1"))}, grpc.Trailer(&trailer))
		if want := (leader.InstanceRef{Hub: "h", ID: "i"}); got.Instance != want || got.Name != "q" || string(got.Input) != "1" {
			t.Errorf("asked %+v", got)
		}
		if status.Code(err) != c.code || c.reason != "" && trailer.Get("reprise-error")[0] != c.reason {
			t.Errorf("%v: %v, %v", c.err, err, trailer)
		}
		if err == nil && (string(m.GetResult().GetValue()) != string(c.answer.Result) || (m.GetFailure() == nil) != (c.answer.Failure == nil) || c.answer.Failure != nil && m.GetFailure().GetErrorMessage() != "no") {
			t.Errorf("answer %v", m)
		}
	}
}

func TestUpdate(t *testing.T) {
	var got leader.UpdateRequest
	reply := leader.UpdateReply{Refused: true, Failure: &history.Failure{Message: "no"}}
	_, conn := dial(t, &fake{Asked: &asked{update: func(r leader.UpdateRequest) (leader.UpdateReply, error) {
		got = r
		return reply, nil
	}}})
	c := reprisev1.NewOrchestrationServiceClient(conn)
	req := &reprisev1.UpdateInstanceRequest{InstanceId: "i", Name: "u", Input: wrapperspb.Bytes([]byte("1"))}
	m, err := c.UpdateInstance(metadata.AppendToOutgoingContext(t.Context(), "reprise-request-id", "r", "reprise-request-time", "7"), req)
	if err != nil || !m.GetRefused() || m.GetFailure().GetErrorMessage() != "no" {
		t.Errorf("%v, %v", m, err)
	}
	if got.Identity.ID != "r" || got.Identity.Sent.UnixNano() != 7 || got.Instance.ID != "i" || got.Name != "u" || string(got.Input) != "1" {
		t.Errorf("asked %+v", got)
	}
	reply = leader.UpdateReply{Result: history.Payload("2")}
	m, err = c.UpdateInstance(t.Context(), req)
	if err != nil || m.GetRefused() || string(m.GetResult().GetValue()) != "2" || !anyHex.MatchString(got.Identity.ID) || got.Identity.Sent.IsZero() {
		t.Errorf("without an identity: %v, %v, %+v", m, err, got.Identity)
	}
}

// TestExecute: the end is not waited for without end, and then it is certain that the
// start was committed.
func TestExecute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var executed, again leader.StartRequest
		running := make(chan leader.Instance)
		b := &fake{
			start: func(r leader.StartRequest) (leader.StartAnswer, error) {
				again = r
				return leader.StartAnswer{}, nil
			},
			execute: func(ctx context.Context, r leader.StartRequest) (leader.Instance, error) {
				executed = r
				select {
				case in := <-running:
					return in, nil
				case <-ctx.Done():
					return leader.Instance{}, ctx.Err()
				}
			},
		}
		s := &orchestrationService{backend: b, starts: b}
		req := &reprisev1.ExecuteInstanceRequest{Start: &durabletask.CreateInstanceRequest{InstanceId: "i", Name: "o", Input: wrapperspb.Bytes([]byte("1"))}}
		go func() { running <- leader.Instance{Status: history.Completed, Output: history.Payload("2")} }()
		m, err := s.ExecuteInstance(t.Context(), req)
		if err != nil || string(m.GetState().GetOutput().GetValue()) != "2" || executed.Name != "o" || string(executed.Input) != "1" || executed.Identity.ID == "" {
			t.Errorf("%v, %v, executed %+v", m, err, executed)
		}
		if m, err = s.ExecuteInstance(t.Context(), req); err != nil || m.GetState() != nil || !reflect.DeepEqual(again, executed) {
			t.Errorf("one that does not end: %v, %v; executed %+v, asked again with %+v", m, err, executed, again)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err = s.ExecuteInstance(ctx, req); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller without patience: %v", err)
		}
		b.start = func(leader.StartRequest) (leader.StartAnswer, error) { return leader.StartAnswer{}, leader.ErrExists }
		if _, err = s.ExecuteInstance(t.Context(), req); !errors.Is(err, leader.ErrExists) {
			t.Errorf("one whose start was never committed, of an ID in use: %v", err)
		}
		b.execute = func(context.Context, leader.StartRequest) (leader.Instance, error) {
			return leader.Instance{}, leader.ErrExists
		}
		if _, err = s.ExecuteInstance(t.Context(), req); !errors.Is(err, leader.ErrExists) {
			t.Errorf("an ID in use: %v", err)
		}
	})
}
