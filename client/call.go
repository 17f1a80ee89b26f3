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

	reprise "github.com/reprise-run/reprise"
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
	// info is what interceptors see.
	info *Call
}

// reads describes a call that asks about an instance; the text is for errors.
func (c *Client) reads(id history.InstanceID, operation, text string, args ...any) call {
	return call{
		what: fmt.Sprintf(text, args...), slot: history.SlotOf(c.config.hub, id),
		info: &Call{Operation: operation, TaskHub: c.config.hub, Instance: id},
	}
}

// changes describes a call that changes something of an instance.
func (c *Client) changes(id history.InstanceID, operation, text string, args ...any) call {
	what := c.reads(id, operation, text, args...)
	what.identity = true
	return what
}

// ask makes a call of a method of a service and returns the answer.
func ask[Service, Request, Answer any](
	ctx context.Context, c *Client, what call, service func(grpc.ClientConnInterface) Service,
	method func(Service, context.Context, *Request, ...grpc.CallOption) (*Answer, error), req *Request,
) (answer *Answer, err error) {
	err = c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) (err error) {
		answer, err = method(service(conn), ctx, req, opts...)
		return err
	})
	return answer, err
}

// encode returns the payload of what a caller gave, which what names in errors.
func (c *Client) encode(what string, v any) (history.Payload, error) {
	payload, err := reprise.EncodePayload(c.config.codec, what, v)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return payload, nil
}

// failed says what was being done, unless the node's own words begin with that.
func (c call) failed(err error) error {
	if strings.HasPrefix(err.Error(), c.what+": ") {
		return err
	}
	return fmt.Errorf("%s: %w", c.what, err)
}

// repeat makes attempts until one succeeds, see the package's comment.
func (c *Client) repeat(ctx context.Context, what call, try attempt) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", what.what, err)
	}
	id := ""
	if what.identity {
		id = newID()
	}
	stamped := c.stamped(ctx, what, id, c.config.now())
	since := c.config.now() // since when nobody could answer
	met := false            // a node was reached
	unsure := false         // an attempt may have been executed, or may still be
	var candidates []string
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if len(candidates) == 0 {
			candidates = c.nodes.candidates(what.slot)
		}
		address := candidates[0]
		candidates = candidates[1:]
		began := c.config.now()
		a := c.attempt(stamped, address, what, try)
		if a.err == nil {
			return nil
		}
		met = met || a.reached
		unsure = unsure || !a.undone
		if ctx.Err() != nil && !met {
			return fmt.Errorf("%s: %w: %s: %w", what.what, ErrUnavailable, address, a.err)
		}
		switch {
		case !a.clock.IsZero() && !unsure:
			// The partition's clock is ahead of ours. It is still the first time that
			// the request is sent: nothing of what was sent before is ever executed.
			stamped = c.stamped(ctx, what, id, a.clock)
			candidates = append([]string{address}, candidates...)
		case !a.again:
			return what.failed(a.err)
		default:
			c.nodes.failed(address, what.slot)
		}
		err, now := a.err, c.config.now()
		if what.long && a.reached && now.Sub(began) >= taken {
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
			if what.long && a.reached { // it waited, and hears of the end of the context, too
				return fmt.Errorf("%s: %w", what.what, context.Cause(ctx))
			}
			return fmt.Errorf("%s: %w; before that, %s said: %v", what.what, context.Cause(ctx), address, err)
		}
	}
}

// stamped returns a context with the metadata of a call. What changes something
// carries a request ID and the time when it was first sent.
func (c *Client) stamped(ctx context.Context, what call, id string, sent time.Time) context.Context {
	md := metadata.Pairs("taskhub", string(c.config.hub))
	if what.identity {
		md.Set("reprise-request-id", id)
		md.Set("reprise-request-time", strconv.FormatInt(sent.UnixNano(), 10))
	}
	return metadata.NewOutgoingContext(ctx, md)
}

// ending is how an attempt ended.
type ending struct {
	reached bool // a node was
	answer
}

// attempt makes one attempt.
func (c *Client) attempt(ctx context.Context, address string, what call, try attempt) ending {
	conn, err := c.nodes.conn(address)
	if err != nil {
		return ending{answer: answer{err: err, undone: true}}
	}
	one, timeout := ctx, min(attemptTimeout, max(c.config.patience, time.Millisecond))
	if !what.long {
		var cancel context.CancelFunc
		one, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	var trailer metadata.MD
	var node peer.Peer
	err = try(one, conn, grpc.Trailer(&trailer), grpc.Peer(&node))
	if err == nil {
		return ending{reached: true}
	}
	e := ending{node.Addr != nil, classify(ctx, err, trailer)}
	e.undone = e.undone || !e.reached
	if one.Err() != nil && ctx.Err() == nil {
		e.err = &callError{fmt.Sprintf("no answer within %v", timeout), ErrUnavailable}
	}
	return e
}
