package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// statuses is the one table of errors and codes; the first that fits is taken.
// The reason travels in a trailer and tells apart what shares a code. client has
// the other half, in client/errors.go.
var statuses = []struct {
	err    error
	code   codes.Code
	reason string
}{
	{errStopping, codes.Unavailable, "stopping"},
	{cluster.ErrUnavailable, codes.Unavailable, "unavailable"},
	{leader.ErrNotLeading, codes.Unavailable, "not-leading"},
	{leader.ErrOverloaded, codes.ResourceExhausted, "overloaded"},
	{leader.ErrFull, codes.ResourceExhausted, "full"},
	{leader.ErrExists, codes.AlreadyExists, "exists"},
	{leader.ErrNotFound, codes.NotFound, "not-found"},
	{leader.ErrRequestExpired, codes.FailedPrecondition, "request-expired"},
	{leader.ErrNoHandler, codes.FailedPrecondition, "no-handler"},
	{leader.ErrUnbound, codes.FailedPrecondition, "unbound"},
	{leader.ErrTooLarge, codes.InvalidArgument, "too-large"},
	{leader.ErrInvalid, codes.InvalidArgument, "invalid"},
	{context.Canceled, codes.Canceled, ""},
	{context.DeadlineExceeded, codes.DeadlineExceeded, ""},
}

// trailerOf is the trailer that tells the reason of an error. One that says that a
// request is too old also tells the partition's clock where the caller, if this was
// his first try, may stamp the request anew with it: nanoseconds since 1970, as in
// "reprise-request-time".
func trailerOf(reason string, err error) metadata.MD {
	if reason == "" {
		return nil
	}
	md := metadata.Pairs("reprise-error", reason)
	var expired *leader.ExpiredError
	if errors.As(err, &expired) {
		md.Set("reprise-partition-time", strconv.FormatInt(expired.Clock.UnixNano(), 10))
	}
	return md
}

// toStatus turns an error into what the caller gets. Errors that nobody foresaw
// are logged here and answered as INTERNAL.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) (trailer metadata.MD, _ error) {
	if _, ok := status.FromError(err); ok { // made by this package, or by gRPC
		return nil, err
	}
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errStopping) {
		err = errStopping
	}
	var badID *history.InvalidIDError
	if errors.As(err, &badID) {
		return trailerOf("invalid", nil), status.Error(codes.InvalidArgument, err.Error())
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return trailerOf(s.reason, err), status.Error(s.code, err.Error())
		}
	}
	log.Error("request failed", "method", method, "error", err)
	return nil, status.Error(codes.Internal, err.Error())
}
