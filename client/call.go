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
	r := &repetition{Client: c, call: what, since: c.config.now()}
	if what.identity {
		r.id = newID()
	}
	r.stamped = c.stamped(ctx, what, r.id, r.since)
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		address, began := r.next(), c.config.now()
		e := c.attempt(r.stamped, address, what, try)
		if e.err == nil {
			return nil
		}
		if err := r.learn(ctx, address, e); err != nil {
			return err
		}
		if now := c.config.now(); what.long && e.reached && now.Sub(began) >= taken {
			r.since, r.candidates, pause = now, nil, firstPause
		}
		if err := r.rest(ctx, pause, address, e); err != nil {
			return err
		}
	}
}

// repetition is a call between its attempts.
type repetition struct {
	*Client
	call
	id         string          // of the request
	stamped    context.Context // of the next attempt
	candidates []string        // for it, the best first
	since      time.Time       // since when nobody could answer
	met        bool            // a node was reached
	unsure     bool            // an attempt may have been executed, or may still be
}

// next returns the address of the node to try.
func (r *repetition) next() string {
	if len(r.candidates) == 0 {
		r.candidates = r.nodes.candidates(r.slot)
	}
	address := r.candidates[0]
	r.candidates = r.candidates[1:]
	return address
}

// learn takes in how an attempt failed. It returns an error if there must be no other.
func (r *repetition) learn(ctx context.Context, address string, e ending) error {
	r.met = r.met || e.reached
	r.unsure = r.unsure || !e.undone
	if ctx.Err() != nil && !r.met {
		return fmt.Errorf("%s: %w: %s: %w", r.what, ErrUnavailable, address, e.err)
	}
	switch {
	case !e.clock.IsZero() && !r.unsure:
		// The partition's clock is ahead of ours. It is still the first time that
		// the request is sent: nothing of what was sent before is ever executed.
		r.stamped = r.Client.stamped(ctx, r.call, r.id, e.clock)
		r.candidates = append([]string{address}, r.candidates...)
	case !e.again:
		return r.call.failed(e.err)
	default:
		r.nodes.failed(address, r.slot)
	}
	return nil
}

// rest waits before the next attempt. It returns an error if patience or the caller's
// time is over, with what the node at the address said last.
func (r *repetition) rest(ctx context.Context, pause time.Duration, address string, e ending) error {
	if r.config.now().Sub(r.since) >= r.config.patience {
		return fmt.Errorf("%s: %w for %v; last, %s said: %w", r.what, ErrUnavailable, r.config.patience, address, e.err)
	}
	timer := time.NewTimer(pause/2 + rand.N(pause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
	}
	switch {
	case !r.met:
		return fmt.Errorf("%s: %w: %w; last, %s said: %w", r.what, ErrUnavailable, context.Cause(ctx), address, e.err)
	case r.long && e.reached: // it waited, and hears of the end of the context, too
		return fmt.Errorf("%s: %w", r.what, context.Cause(ctx))
	}
	return fmt.Errorf("%s: %w; before that, %s said: %v", r.what, context.Cause(ctx), address, e.err)
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
