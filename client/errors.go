package client

import (
	"context"
	"errors"
	"fmt"
	"strings"

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
	// ErrExpired: the call was first sent too long ago for the cluster to know
	// whether it was done. It was not done now.
	ErrExpired = fmt.Errorf("%w: outcome unknown", ErrRefused)
	// ErrFull: the instance has too many events that it has not taken; the event was
	// not raised. It may be raised again later.
	ErrFull = fmt.Errorf("%w: too many events", ErrRefused)
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
	"stopping":        {ErrUnavailable, true},
	"unavailable":     {ErrUnavailable, true},
	"not-leading":     {ErrUnavailable, true},
	"overloaded":      {ErrUnavailable, true},
	"exists":          {ErrExists, false},
	"full":            {ErrFull, false},
	"not-found":       {ErrNotFound, false},
	"request-expired": {ErrExpired, false},
	"too-large":       {ErrTooLarge, false},
	"invalid":         {ErrInvalid, false},
}

var classes = map[codes.Code]class{
	codes.Unavailable: {ErrUnavailable, true},
	// An attempt's own deadline, or a node that gave up.
	codes.DeadlineExceeded: {ErrUnavailable, true},
	codes.Canceled:         {ErrUnavailable, true},
	codes.Aborted:          {ErrUnavailable, true},
	codes.AlreadyExists:    {ErrExists, false},
	codes.NotFound:         {ErrNotFound, false},
	codes.InvalidArgument:  {ErrInvalid, false},
	// Without a reason it is gRPC's: a message over its limit.
	codes.ResourceExhausted:  {ErrTooLarge, false},
	codes.FailedPrecondition: {ErrRefused, false},
	codes.PermissionDenied:   {ErrRefused, false},
	codes.Unauthenticated:    {ErrRefused, false},
	codes.Unimplemented:      {ErrNotSupported, false},
}

// class is what an answer means: the error that callers decide on, and whether to
// ask again.
type class struct {
	err   error
	again bool
}

// classify turns the error of an attempt into what it means; an attempt whose
// context is done is not asked again.
func classify(ctx context.Context, err error, trailer metadata.MD) (_ error, again bool) {
	if ctx.Err() != nil {
		return context.Cause(ctx), false
	}
	s := status.Convert(err)
	if reason := trailer.Get("reprise-error"); len(reason) > 0 {
		if c, ok := reasons[reason[0]]; ok {
			return &callError{s.Message(), c.err}, c.again
		}
	}
	if c, ok := classes[s.Code()]; ok {
		return &callError{plain(s.Message()), c.err}, c.again
	}
	return err, false
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
