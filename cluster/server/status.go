package server

import (
	"context"
	"errors"
	"log/slog"

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
	{leader.ErrTooLarge, codes.InvalidArgument, "too-large"},
	{leader.ErrInvalid, codes.InvalidArgument, "invalid"},
	{context.Canceled, codes.Canceled, ""},
	{context.DeadlineExceeded, codes.DeadlineExceeded, ""},
}

// reasonTrailer is the trailer that carries a reason.
func reasonTrailer(reason string) metadata.MD { return metadata.Pairs("reprise-error", reason) }

// toStatus turns an error into what the caller gets. Errors that nobody foresaw
// are logged here and answered as INTERNAL.
func toStatus(ctx context.Context, log *slog.Logger, method string, err error) (reason string, _ error) {
	if _, ok := status.FromError(err); ok { // made by this package, or by gRPC
		return "", err
	}
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errStopping) {
		err = errStopping
	}
	var badID *history.InvalidIDError
	if errors.As(err, &badID) {
		return "invalid", status.Error(codes.InvalidArgument, err.Error())
	}
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.reason, status.Error(s.code, err.Error())
		}
	}
	log.Error("request failed", "method", method, "error", err)
	return "", status.Error(codes.Internal, err.Error())
}
