package client

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/reprisev1"
)

func (n *fakeNode) CancelInstance(ctx context.Context, m *reprisev1.CancelInstanceRequest) (*reprisev1.CancelInstanceResponse, error) {
	n.note(ctx)
	return &reprisev1.CancelInstanceResponse{}, n.cancel(m)
}

// A cancellation carries a request ID, so it can be repeated.
func TestCancel(t *testing.T) {
	var got *reprisev1.CancelInstanceRequest
	times := 0
	n := &fakeNode{cancel: func(m *reprisev1.CancelInstanceRequest) error {
		if got, times = m, times+1; times == 1 {
			return status.Error(codes.Unavailable, "no leader")
		}
		return nil
	}}
	c := connect(t, []*fakeNode{n})
	if err := Cancel(t.Context(), c, "i", Reason("enough")); err != nil || got.GetInstanceId() != "i" || got.GetReason() != "enough" || times != 2 {
		t.Errorf("%v, asked %d times for %v", err, times, got)
	}
	if calls := n.calls(); calls[0].Get("reprise-request-id")[0] != calls[1].Get("reprise-request-id")[0] {
		t.Errorf("the repetition is another request: %v", calls)
	}
	n.cancel = func(*reprisev1.CancelInstanceRequest) error { return status.Error(codes.NotFound, "none") }
	if err := Cancel(t.Context(), c, "i"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
