package client

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/reprise-run/reprise/history"
)

const (
	// attemptTimeout limits one attempt of a call that does not wait: a node that
	// is stopped, or cut off, must not hold it.
	attemptTimeout = 5 * time.Second
	// The pause between attempts grows from the first to the longest.
	firstPause, longestPause = 10 * time.Millisecond, time.Second
	// taken is how long an attempt must have lasted, on a node that was reached, to
	// count as taken: patience begins anew after it.
	taken = time.Second
)

// attempt is one try of a call on one node.
type attempt func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error

// call describes a call to [Client.do].
type call struct {
	what string // for errors: `start "order-42"`
	slot history.Slot
	// identity is set for calls that change something.
	identity bool
	// long is a wait: attempts are not limited.
	long bool
}

// failed says what was being done, unless the node's own words begin with that.
func (c call) failed(err error) error {
	if strings.HasPrefix(err.Error(), c.what+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", c.what, err)
}

// do makes attempts until one succeeds, see the package's comment.
func (c *Client) do(ctx context.Context, what call, try attempt) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what.what, err)
	}
	md := metadata.Pairs("taskhub", string(c.config.hub))
	if what.identity {
		md.Set("reprise-request-id", newID())
		md.Set("reprise-request-time", strconv.FormatInt(c.config.now().UnixNano(), 10))
	}
	ctx = metadata.NewOutgoingContext(ctx, md)
	since := c.config.now() // since when nobody could answer
	met := false            // a node was reached
	var candidates []string
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if len(candidates) == 0 {
			candidates = c.nodes.candidates(what.slot)
		}
		address := candidates[0]
		candidates = candidates[1:]
		began := c.config.now()
		reached, err, again := c.attempt(ctx, address, what, try)
		if err == nil {
			return nil
		}
		met = met || reached
		if ctx.Err() != nil && !met {
			return fmt.Errorf("%s: %w: %s: %w", what.what, ErrUnavailable, address, err)
		}
		if !again {
			return what.failed(err)
		}
		c.nodes.failed(address, what.slot)
		now := c.config.now()
		if what.long && reached && now.Sub(began) >= taken {
			since, pause, candidates = now, firstPause, nil
		}
		if now.Sub(since) >= c.config.patience {
			return fmt.Errorf("%s: %w for %v; last, %s said: %w", what.what, ErrUnavailable, c.config.patience, address, err)
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if !met {
				return fmt.Errorf("%s: %w: %w; last, %s said: %w", what.what, ErrUnavailable, context.Cause(ctx), address, err)
			}
			return fmt.Errorf("%s: %w; before that, %s said: %v", what.what, context.Cause(ctx), address, err)
		}
	}
}

// attempt makes one attempt. It tells whether a node was reached and, after an
// error, whether to make another.
func (c *Client) attempt(ctx context.Context, address string, what call, try attempt) (reached bool, err error, again bool) {
	conn, err := c.nodes.conn(address)
	if err != nil {
		return false, err, false
	}
	one, timeout := ctx, min(attemptTimeout, max(c.config.patience, time.Millisecond))
	if !what.long {
		var cancel context.CancelFunc
		one, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var trailer metadata.MD
	var node peer.Peer
	if err := try(one, conn, grpc.Trailer(&trailer), grpc.Peer(&node)); err != nil {
		err, again = classify(ctx, err, trailer)
		if one.Err() != nil && ctx.Err() == nil {
			err = &callError{fmt.Sprintf("no answer within %v", timeout), ErrUnavailable}
		}
		return node.Addr != nil, err, again
	}
	return true, nil, false
}
