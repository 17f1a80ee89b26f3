package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// TestRefusalAsTooOld: a node passes the partition's clock on only where none of
// its own tries can have been executed.
func TestRefusalAsTooOld(t *testing.T) {
	expired := &leader.ExpiredError{Clock: time.Unix(5, 0)}
	for _, c := range []struct {
		name  string
		tries []error
		sure  bool
	}{
		{"at once", []error{expired}, true},
		{"after others that do not lead", []error{errNotHere, &redirectError{"c"}, expired}, true},
		{"after one that is busy", []error{fmt.Errorf("ask b: %w", peer.ErrBusy), expired}, true},
		{"after a lost connection", []error{fmt.Errorf("ask b: %w", peer.ErrUnreachable), errNotHere, expired}, false},
		{"after a lost leader", []error{leader.ErrNotLeading, expired}, false},
		{"by another node that is not sure", []error{leader.ErrRequestExpired}, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := &Node{self: "a", ctx: t.Context(), hints: map[uint32]peer.NodeID{}}
			tries := c.tries
			ctx, cancel := context.WithCancel(t.Context())
			err := n.route(ctx, func() (uint32, bool) { n.hints[1] = "b"; return 1, true }, true, nil, func(context.Context, peer.NodeID) error {
				err := tries[0]
				if tries = tries[1:]; len(tries) == 0 {
					cancel() // the caller leaves just now; what he may hear is the same
				}
				return err
			})
			if sure := errors.As(err, new(*leader.ExpiredError)); sure != c.sure || !errors.Is(err, leader.ErrRequestExpired) {
				t.Errorf("%s: %v, with the clock: %v", c.name, err, sure)
			}
		})
	}
	// An answer that took long may follow another one that was lost.
	synctest.Test(t, func(t *testing.T) {
		n := &Node{self: "a", ctx: t.Context(), hints: map[uint32]peer.NodeID{1: "b"}}
		err := n.route(t.Context(), func() (uint32, bool) { return 1, true }, true, nil, func(context.Context, peer.NodeID) error {
			time.Sleep(leader.AnswerGrace + 1)
			return expired
		})
		if errors.As(err, new(*leader.ExpiredError)) || !errors.Is(err, leader.ErrRequestExpired) {
			t.Errorf("after a long time: %v", err)
		}
	})
}
