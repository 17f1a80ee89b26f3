package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// Errors of calls. Their text is followed by what the cluster said.
var (
	// ErrRefused is in every error of a request that the cluster understood and
	// did not do. Repeating it does not help.
	ErrRefused = errors.New("refused")
	// ErrExists: an instance has the ID, and the reuse policy does not let it go.
	ErrExists = fmt.Errorf("%w: the instance ID is taken", ErrRefused)
	// ErrInvalid: the request makes no sense.
	ErrInvalid = fmt.Errorf("%w: invalid request", ErrRefused)
	// ErrTooLarge: a payload is over the limit.
	ErrTooLarge = fmt.Errorf("%w: payload is too large", ErrRefused)
	// ErrExpired: the call was first sent too long ago, by the partition's clock, for
	// the cluster to know whether it was done. It was not done now.
	ErrExpired = fmt.Errorf("%w: outcome unknown", ErrRefused)
	// ErrFull: the instance has too many events that it has not taken; the event was
	// not raised. It may be raised again later.
	ErrFull = fmt.Errorf("%w: too many events", ErrRefused)
	// ErrNoHandler: the orchestration does not handle the query or the update. The text
	// lists what it handles.
	ErrNoHandler = fmt.Errorf("%w: nothing handles it", ErrRefused)
	// ErrEnded: the orchestration ended before it replied to the update, which may have
	// had an effect, unless the error is also ErrNotTaken.
	ErrEnded = fmt.Errorf("%w: the orchestration has ended", ErrRefused)
	// ErrNotTaken: the orchestration ended without taking the update, which may have come
	// later. It had no effect, and will have none.
	ErrNotTaken = fmt.Errorf("%w: it has not taken the update", ErrEnded)
	// ErrUnbound: no node binds the orchestration that was asked.
	ErrUnbound = fmt.Errorf("%w: no code for it", ErrRefused)
	// ErrStale: the token is of an attempt that is not wanted any more: its activity has
	// an outcome, or a newer attempt, or was cancelled.
	ErrStale = fmt.Errorf("%w: the attempt is not wanted any more", ErrRefused)
	// ErrNotSupported: the node does not know the call.
	ErrNotSupported = fmt.Errorf("%w: not supported", ErrRefused)

	// ErrNotFound: there is no such instance.
	ErrNotFound = errors.New("no such instance")
	// ErrUnavailable: no node could answer for as long as the client's patience
	// lasts. Whether the call was done is unknown.
	ErrUnavailable = errors.New("cluster not reachable")
	// ErrClosed: the client was closed.
	ErrClosed = errors.New("client is closed")
)

// reasons is the table of what nodes say in the trailer "reprise-error", the
// other half of cluster/server/status.go; classes holds for answers without one.
var reasons = map[string]class{
	"stopping":        {err: ErrUnavailable, again: true},
	"unavailable":     {err: ErrUnavailable, again: true},
	"not-leading":     {err: ErrUnavailable, again: true},
	"overloaded":      {err: ErrUnavailable, again: true, undone: true},
	"exists":          {err: ErrExists},
	"full":            {err: ErrFull},
	"stale":           {err: ErrStale},
	"not-found":       {err: ErrNotFound},
	"request-expired": {err: ErrExpired},
	"no-handler":      {err: ErrNoHandler},
	"unbound":         {err: ErrUnbound},
	"too-large":       {err: ErrTooLarge},
	"invalid":         {err: ErrInvalid},
}

var classes = map[codes.Code]class{
	codes.Unavailable: {err: ErrUnavailable, again: true},
	// An attempt's own deadline, or a node that gave up.
	codes.DeadlineExceeded: {err: ErrUnavailable, again: true},
	codes.Canceled:         {err: ErrUnavailable, again: true},
	codes.Aborted:          {err: ErrUnavailable, again: true},
	codes.AlreadyExists:    {err: ErrExists},
	codes.NotFound:         {err: ErrNotFound},
	codes.InvalidArgument:  {err: ErrInvalid},
	// Without a reason it is gRPC's: a message over its limit.
	codes.ResourceExhausted:  {err: ErrTooLarge},
	codes.FailedPrecondition: {err: ErrRefused},
	codes.PermissionDenied:   {err: ErrRefused},
	codes.Unauthenticated:    {err: ErrRefused},
	codes.Unimplemented:      {err: ErrNotSupported},
}

// class is what an answer means.
type class struct {
	err    error // that callers decide on
	again  bool  // ask again
	undone bool  // for certain the request, as it was sent, is not executed, nor later
}

// answer is what a node said.
type answer struct {
	err    error
	again  bool
	undone bool
	// clock is the partition's, where the request is too old for it and was, as it
	// was sent, not executed.
	clock time.Time
}

// classify turns the error of an attempt into what it means; an attempt whose
// context is done is not asked again.
func classify(ctx context.Context, err error, trailer metadata.MD) answer {
	if ctx.Err() != nil {
		return answer{err: context.Cause(ctx)}
	}
	s := status.Convert(err)
	if reason := trailer.Get("reprise-error"); len(reason) > 0 {
		if c, ok := reasons[reason[0]]; ok {
			a := answer{err: &callError{s.Message(), c.err}, again: c.again, undone: c.undone}
			if clock := trailer.Get("reprise-partition-time"); len(clock) > 0 && errors.Is(c.err, ErrExpired) {
				if nanos, err := strconv.ParseInt(clock[0], 10, 64); err == nil {
					a.undone, a.clock = true, time.Unix(0, nanos)
				}
			}
			return a
		}
	}
	if c, ok := classes[s.Code()]; ok {
		return answer{err: &callError{plain(s.Message()), c.err}, again: c.again, undone: c.undone}
	}
	return answer{err: err}
}

// plain takes off what gRPC wraps around the error of a connection.
func plain(message string) string {
	if rest, ok := strings.CutPrefix(message, `connection error: desc = "transport: `); ok {
		return strings.TrimPrefix(strings.TrimSuffix(rest, `"`), "Error while dialing: ")
	}
	return message
}

// callError is what a node said, of a kind that callers know.
type callError struct {
	message string
	kind    error
}

func (e *callError) Error() string { return e.message }
func (e *callError) Unwrap() error { return e.kind }
