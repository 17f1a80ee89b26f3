package client

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// fakeAsked is the part of a [fakeNode] that orchestrations answer.
type fakeAsked struct {
	reprisev1.UnimplementedOrchestrationServiceServer
	execute func(*reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error)
	query   func(context.Context, *reprisev1.QueryInstanceRequest) (*reprisev1.QueryInstanceResponse, error)
	update  func(context.Context, *reprisev1.UpdateInstanceRequest) (*reprisev1.UpdateInstanceResponse, error)
	watch   func(*reprisev1.WatchInstanceRequest, grpc.ServerStreamingServer[reprisev1.WatchInstanceResponse]) error
}

func (n *fakeAsked) WatchInstance(m *reprisev1.WatchInstanceRequest, out grpc.ServerStreamingServer[reprisev1.WatchInstanceResponse]) error {
	return n.watch(m, out)
}

func (n *fakeAsked) UpdateInstance(ctx context.Context, m *reprisev1.UpdateInstanceRequest) (*reprisev1.UpdateInstanceResponse, error) {
	return n.update(ctx, m)
}

func (n *fakeAsked) QueryInstance(ctx context.Context, m *reprisev1.QueryInstanceRequest) (*reprisev1.QueryInstanceResponse, error) {
	return n.query(ctx, m)
}

var (
	progress = reprise.NewQuery[int, string]("progress")
	errNotIt = reprise.NewError("test.not_it", "not it")
)

func TestQuery(t *testing.T) {
	node := &fakeNode{}
	c := connect(t, []*fakeNode{{fakeAsked: fakeAsked{query: func(context.Context, *reprisev1.QueryInstanceRequest) (*reprisev1.QueryInstanceResponse, error) {
		return nil, status.Error(codes.Unavailable, "not here")
	}}}, node})
	for _, n := range []struct {
		in   int
		want string
		is   error
	}{{1, "one", nil}, {2, "", errNotIt}, {3, "", ErrNoHandler}, {4, "", ErrUnbound}} {
		node.query = func(ctx context.Context, m *reprisev1.QueryInstanceRequest) (*reprisev1.QueryInstanceResponse, error) {
			if m.GetInstanceId() != "i" || m.GetName() != "progress" || m.GetInput() == nil {
				t.Errorf("asked %v", m)
			}
			switch string(m.GetInput().GetValue()) {
			case "1":
				return &reprisev1.QueryInstanceResponse{Result: wire.FromPayload(history.Payload(`"one"`))}, nil
			case "2":
				return &reprisev1.QueryInstanceResponse{Failure: wire.FromFailure(reprise.FailureOf(reprise.JSON, errNotIt))}, nil
			case "3":
				return nil, refused(ctx, "no-handler")
			default:
				return nil, refused(ctx, "unbound")
			}
		}
		if got, err := Query(t.Context(), c, "i", progress, n.in); got != n.want || !errors.Is(err, n.is) {
			t.Errorf("%d: %q, %v", n.in, got, err)
		}
	}
}

// refused is an answer with a reason.
func refused(ctx context.Context, reason string) error {
	_ = grpc.SetTrailer(ctx, metadata.Pairs("reprise-error", reason)) // only fails once the call has ended
	return status.Error(codes.FailedPrecondition, "refused")
}

// A repetition at another node carries the identity of the first try.
func TestUpdate(t *testing.T) {
	u := reprise.NewUpdate[int, string]("price")
	for _, n := range []struct {
		reply   *reprisev1.UpdateInstanceResponse
		want    string
		is, not error
	}{
		{&reprisev1.UpdateInstanceResponse{Result: wire.FromPayload(history.Payload(`"one"`))}, "one", nil, ErrRefused},
		{&reprisev1.UpdateInstanceResponse{Failure: wire.FromFailure(reprise.FailureOf(reprise.JSON, errNotIt))}, "", errNotIt, ErrRefused},
		{&reprisev1.UpdateInstanceResponse{Refused: true, Failure: wire.FromFailure(reprise.FailureOf(reprise.JSON, errNotIt))}, "", errNotIt, ErrEnded},
		{&reprisev1.UpdateInstanceResponse{Refused: true, Failure: wire.FromFailure(reprise.FailureOf(reprise.JSON, errNotIt))}, "", ErrRefused, ErrEnded},
		{&reprisev1.UpdateInstanceResponse{Failure: wire.FromFailure(&history.Failure{Type: history.FailureEnded})}, "", ErrEnded, ErrNotTaken},
		{&reprisev1.UpdateInstanceResponse{Refused: true, Failure: wire.FromFailure(&history.Failure{Type: history.FailureEnded})}, "", ErrNotTaken, errNotIt},
		{&reprisev1.UpdateInstanceResponse{Refused: true, Failure: wire.FromFailure(&history.Failure{Type: history.FailureEnded})}, "", ErrEnded, errNotIt},
		{&reprisev1.UpdateInstanceResponse{Failure: wire.FromFailure(&history.Failure{Type: history.FailureNoHandler})}, "", ErrNoHandler, errNotIt},
	} {
		var asked []string
		update := func(ctx context.Context, m *reprisev1.UpdateInstanceRequest) (*reprisev1.UpdateInstanceResponse, error) {
			md, _ := metadata.FromIncomingContext(ctx)
			asked = append(asked, md.Get("reprise-request-id")[0]+md.Get("reprise-request-time")[0])
			if len(asked) == 1 {
				return nil, status.Error(codes.Unavailable, "not now")
			}
			return n.reply, nil
		}
		c := connect(t, []*fakeNode{{fakeAsked: fakeAsked{update: update}}, {fakeAsked: fakeAsked{update: update}}})
		if got, err := Update(t.Context(), c, "i", u, 7); got != n.want || !errors.Is(err, n.is) || errors.Is(err, n.not) {
			t.Errorf("%v: %q, %v", n.reply, got, err)
		}
		if len(asked) != 2 || asked[0] != asked[1] {
			t.Errorf("asked as %q", asked)
		}
	}
}
