package server

import (
	"context"
	"reflect"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"google.golang.org/grpc"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

func (f *fake) CompleteActivity(_ context.Context, r leader.CompleteRequest) error {
	return f.complete(r)
}

func (f *fake) HeartbeatActivity(_ context.Context, r leader.HeartbeatRequest) error {
	return f.beat(r)
}

func TestActivitiesByToken(t *testing.T) {
	token := history.AttemptToken{Hub: "shop", Instance: "order-1", Execution: "e", TaskID: 4, Epoch: 7, N: 2}
	var got leader.CompleteRequest
	var beat leader.HeartbeatRequest
	_, conn := dial(t, &fake{
		complete: func(r leader.CompleteRequest) error { got = r; return nil },
		beat:     func(r leader.HeartbeatRequest) error { beat = r; return leader.ErrStale },
	})
	c := reprisev1.NewActivityServiceClient(conn)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "reprise-request-id", "r", "reprise-request-time", "5")
	if _, err := c.CompleteActivity(ctx, &reprisev1.CompleteActivityRequest{Token: token.String(), Result: wrapperspb.Bytes([]byte("7"))}); err != nil {
		t.Fatal(err)
	}
	if got.Token != token || string(got.Result) != "7" || got.Failure != nil || got.Identity.ID != "r" || got.Identity.Sent.UnixNano() != 5 {
		t.Errorf("completed %+v", got)
	}
	failure := &durabletask.TaskFailureDetails{ErrorType: "error", ErrorMessage: "no", IsNonRetriable: true}
	if _, err := c.FailActivity(ctx, &reprisev1.FailActivityRequest{Token: token.String(), Failure: failure}); err != nil {
		t.Fatal(err)
	}
	if want := (&history.Failure{Type: "error", Message: "no", NonRetriable: true}); got.Result != nil || !reflect.DeepEqual(got.Failure, want) {
		t.Errorf("failed with %+v", got.Failure)
	}
	var trailer metadata.MD
	_, err := c.HeartbeatActivity(t.Context(), &reprisev1.HeartbeatActivityRequest{Token: token.String(), Progress: wrapperspb.Bytes([]byte("3"))}, grpc.Trailer(&trailer))
	if beat.Token != token || string(beat.Progress) != "3" || status.Code(err) != codes.FailedPrecondition || !reflect.DeepEqual(trailer.Get("reprise-error"), []string{"stale"}) {
		t.Errorf("heard %+v, answered %v with %v", beat, err, trailer)
	}
	for what, err := range map[string]error{
		"a token that is none": func() error {
			_, err := c.CompleteActivity(ctx, &reprisev1.CompleteActivityRequest{Token: "at1-AAAA"})
			return err
		}(),
		"no failure": func() error {
			_, err := c.FailActivity(ctx, &reprisev1.FailActivityRequest{Token: token.String()})
			return err
		}(),
	} {
		if status.Code(err) != codes.InvalidArgument {
			t.Errorf("%s: %v", what, err)
		}
	}
}
