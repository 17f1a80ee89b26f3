package server

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// watching opens a stream.
func watching(t *testing.T, conn *grpc.ClientConn, m *reprisev1.WatchInstanceRequest) grpc.ServerStreamingClient[reprisev1.WatchInstanceResponse] {
	t.Helper()
	stream, err := reprisev1.NewOrchestrationServiceClient(conn).WatchInstance(metadata.AppendToOutgoingContext(t.Context(), "taskhub", "h"), m)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// Each state is asked for with what was seen before; the stream ends with the instance.
func TestWatch(t *testing.T) {
	var asks []leader.Seen
	_, conn := dial(t, &fake{Asked: &asked{watch: func(_ context.Context, r leader.WatchRequest) (leader.WatchAnswer, error) {
		asks = append(asks, r.Seen)
		if want := (leader.InstanceRef{Hub: "h", ID: "i"}); r.Instance != want {
			t.Errorf("asked for %v", r.Instance)
		}
		a := leader.WatchAnswer{Instance: leader.Instance{
			Ref: r.Instance, Status: history.Running, CustomStatus: history.Payload("7"), Tags: map[string]string{"a": "b"}, Waiting: []string{"this"},
			Deadline: time.Unix(5, 0), CancelRequested: time.Unix(6, 0), CancelReason: "enough",
		}, Seen: leader.Seen{Epoch: 1 << 63, Sum: r.Seen.Sum + 1}}
		if a.Seen.Sum == 3 {
			a.Instance.Status, a.Instance.Output = history.Completed, history.Payload("8")
		}
		return a, nil
	}}})
	stream := watching(t, conn, &reprisev1.WatchInstanceRequest{InstanceId: "i"})
	var got []*reprisev1.WatchInstanceResponse
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, m)
	}
	if len(got) != 3 || len(asks) != 3 || asks[0] != (leader.Seen{}) || asks[1] != (leader.Seen{Epoch: 1 << 63, Sum: 1}) || asks[2] != (leader.Seen{Epoch: 1 << 63, Sum: 2}) {
		t.Fatalf("%d messages, asked with %v", len(got), asks)
	}
	in := got[0].GetInstance()
	if s := in.GetState(); string(s.GetCustomStatus().GetValue()) != "7" || s.GetTags()["a"] != "b" || in.GetWaiting()[0] != "this" ||
		in.GetDeadline().GetSeconds() != 5 || in.GetCancelRequest().GetRequested().GetSeconds() != 6 || in.GetCancelRequest().GetReason() != "enough" {
		t.Errorf("told %v", in)
	}
	if s := got[2].GetInstance().GetState(); string(s.GetOutput().GetValue()) != "8" {
		t.Errorf("told %v at the end", s)
	}

	// Who comes again, by whichever node, says what he has seen.
	asks = nil
	if m, err := watching(t, conn, &reprisev1.WatchInstanceRequest{InstanceId: "i", Seen: got[1].GetSeen()}).Recv(); err != nil || m.GetInstance().GetState().GetOutput() == nil || asks[0].Sum != 2 {
		t.Errorf("told %v, %v; asked with %v", m, err, asks)
	}
	if _, err := watching(t, conn, &reprisev1.WatchInstanceRequest{InstanceId: "i", Seen: []byte("x")}).Recv(); status.Code(err) != codes.InvalidArgument || !strings.Contains(err.Error(), "has 1 bytes") {
		t.Errorf("what nobody has seen: %v", err)
	}
}

// Nothing is asked for before the stream has taken what was told last: so a slow reader
// makes no queue, and is told the newest.
func TestWatchOfASlowReader(t *testing.T) {
	state, asks := uint64(0), 0
	s := &orchestrationService{backend: &asked{watch: func(_ context.Context, r leader.WatchRequest) (leader.WatchAnswer, error) {
		asks++
		in := leader.Instance{Ref: r.Instance, Status: history.Running, HistoryEvents: int64(state)}
		if state == 30 {
			in.Status = history.Completed
		}
		return leader.WatchAnswer{Instance: in, Seen: leader.Seen{Sum: state}}, nil
	}}}
	var told []int64
	out := &fakeStream{ctx: metadata.NewIncomingContext(t.Context(), nil), send: func(m *reprisev1.WatchInstanceResponse) error {
		if told = append(told, m.GetInstance().GetHistoryEvents()); asks != len(told) {
			t.Errorf("asked %d times before message %d was taken", asks, len(told))
		}
		state += 10 // while the stream is full
		return nil
	}}
	if err := s.WatchInstance(&reprisev1.WatchInstanceRequest{InstanceId: "i"}, out); err != nil || !slices.Equal(told, []int64{0, 10, 20, 30}) || s.watches.Load() != 0 {
		t.Errorf("told %v, %v; %d watchers are left", told, err, s.watches.Load())
	}
}

// When the server stops, watchers turn to another node; too many are refused.
func TestWatchersAreBounded(t *testing.T) {
	s := &orchestrationService{backend: &asked{}}
	s.watches.Store(MaxWatches)
	out := &fakeStream{ctx: metadata.NewIncomingContext(t.Context(), nil)}
	if err := s.WatchInstance(&reprisev1.WatchInstanceRequest{InstanceId: "i"}, out); !errors.Is(err, leader.ErrOverloaded) || s.watches.Load() != MaxWatches {
		t.Errorf("one too many: %v, %d watchers", err, s.watches.Load())
	}

	began := make(chan struct{})
	server, conn := dial(t, &fake{Asked: &asked{watch: func(ctx context.Context, _ leader.WatchRequest) (leader.WatchAnswer, error) {
		close(began)
		<-ctx.Done()
		return leader.WatchAnswer{}, ctx.Err()
	}}})
	stream := watching(t, conn, &reprisev1.WatchInstanceRequest{InstanceId: "i"})
	stopped := make(chan struct{})
	go func() { <-began; server.Stop(t.Context()); close(stopped) }()
	if _, err := stream.Recv(); status.Code(err) != codes.Unavailable || stream.Trailer().Get("reprise-error")[0] != "stopping" {
		t.Errorf("the server stops: %v", err)
	}
	<-stopped
}

// fakeStream is the server's side of a stream.
type fakeStream struct {
	grpc.ServerStreamingServer[reprisev1.WatchInstanceResponse]
	ctx  context.Context
	send func(*reprisev1.WatchInstanceResponse) error
}

func (s *fakeStream) Send(m *reprisev1.WatchInstanceResponse) error { return s.send(m) }

func (s *fakeStream) Context() context.Context { return s.ctx }
