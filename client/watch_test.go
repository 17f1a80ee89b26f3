package client

import (
	"context"
	"errors"
	"io"
	"slices"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

type watchStream = grpc.ServerStreamingServer[reprisev1.WatchInstanceResponse]

// shows is a message about an instance whose custom status is also what was seen.
func shows(s history.Status, what string) *reprisev1.WatchInstanceResponse {
	return &reprisev1.WatchInstanceResponse{Seen: []byte(what), Instance: &reprisev1.GetInstanceDetailResponse{
		Exists: true, State: &durabletask.OrchestrationState{InstanceId: "i", OrchestrationStatus: durabletask.OrchestrationStatus(s), CustomStatus: wire.FromPayload(history.Payload(what))},
	}}
}

// The rest comes from another node, which is told what was seen: nothing comes twice, and
// the end ends it. A stream that ends before the instance is no end.
func TestWatchGoesOnElsewhere(t *testing.T) {
	for _, lost := range []error{status.Error(codes.Unavailable, "gone"), nil} {
		var seen []string
		tell := func(m *reprisev1.WatchInstanceRequest, out watchStream) error {
			if m.GetInstanceId() != "i" {
				t.Errorf("asked for %v", m)
			}
			seen = append(seen, string(m.GetSeen()))
			if len(seen) == 1 {
				if err := out.Send(shows(history.Running, "first")); err != nil {
					t.Error(err)
				}
				return lost
			}
			if err := out.Send(shows(history.Running, "second")); err != nil {
				t.Error(err)
			}
			return out.Send(shows(history.Completed, "last"))
		}
		c := connect(t, []*fakeNode{{fakeAsked: fakeAsked{watch: tell}}, {fakeAsked: fakeAsked{watch: tell}}})
		var got []string
		for in, err := range c.Watch(t.Context(), "i") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(in.CustomStatus))
		}
		if !slices.Equal(seen, []string{"", "first"}) {
			t.Errorf("the nodes were told %q", seen)
		}
		if n := len(got); n < 2 || got[0] != "first" || got[n-1] != "last" || n == 3 && got[1] != "second" || n > 3 {
			t.Errorf("watched %q", got)
		}
	}
}

func TestWatchErrors(t *testing.T) {
	for _, c := range []struct {
		reason string
		want   error
	}{{"not-found", ErrNotFound}, {"invalid", ErrInvalid}} {
		client := connect(t, []*fakeNode{{fakeAsked: fakeAsked{watch: func(_ *reprisev1.WatchInstanceRequest, out watchStream) error {
			out.SetTrailer(metadata.Pairs("reprise-error", c.reason))
			return status.Error(codes.Unknown, "said")
		}}}})
		n := 0
		for in, err := range client.Watch(t.Context(), "i") {
			if n++; !errors.Is(err, c.want) {
				t.Errorf("%s: %+v, %v", c.reason, in, err)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d values", c.reason, n)
		}
	}
}

// Who leaves the loop is not told any more, and neither is who has no time left.
func TestWatchStops(t *testing.T) {
	left := make(chan struct{}, 2)
	c := connect(t, []*fakeNode{{fakeAsked: fakeAsked{watch: func(_ *reprisev1.WatchInstanceRequest, out watchStream) error {
		if err := out.Send(shows(history.Running, "first")); err != nil {
			t.Error(err)
		}
		<-out.Context().Done()
		left <- struct{}{}
		return out.Context().Err()
	}}}})
	for _, err := range c.Watch(t.Context(), "i") {
		if err != nil {
			t.Error(err)
		}
		break
	}
	<-left
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range c.Watch(ctx, "i") {
		last = err
		cancel()
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("a watch whose context is done ends with %v", last)
	}
	<-left
}

// fakeStream is a stream of messages that have all come, and its end.
type fakeStream struct {
	grpc.ServerStreamingClient[reprisev1.WatchInstanceResponse]
	messages []*reprisev1.WatchInstanceResponse
	end      error
}

func (s *fakeStream) Recv() (*reprisev1.WatchInstanceResponse, error) {
	if len(s.messages) == 0 {
		return nil, s.end
	}
	m := s.messages[0]
	s.messages = s.messages[1:]
	return m, nil
}

// Of what nobody has taken only the newest is left, and that also when the stream has
// ended.
func TestWatchKeepsTheNewest(t *testing.T) {
	for _, end := range []error{io.EOF, status.Error(codes.Unavailable, "gone")} {
		n := newestOf(&fakeStream{end: end, messages: []*reprisev1.WatchInstanceResponse{shows(history.Running, "1"), shows(history.Running, "2"), shows(history.Completed, "3")}})
		n.wait()
		if m := <-n.came; string(m.GetSeen()) != "3" {
			t.Errorf("the newest is %v", m)
		}
		if m, more := <-n.came; more || status.Code(n.err) != codes.Unavailable {
			t.Errorf("then came %v, %v", m, n.err)
		}
	}
}
