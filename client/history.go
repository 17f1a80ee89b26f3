package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// History yields the events of an instance's current execution in order, or of
// the given one. An error ends it. When a node is lost on the way, the rest comes
// from another one. [ErrNotFound] where there is no such instance.
func (c *Client) History(ctx context.Context, id history.InstanceID, execution history.ExecutionID) iter.Seq2[history.Event, error] {
	return func(yield func(history.Event, error) bool) {
		what := c.reads(id, "history", "read history of %q", id)
		what.long = true
		yielded, stop := 0, false
		err := c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			req := &durabletask.StreamInstanceHistoryRequest{InstanceId: string(id)}
			if execution != "" {
				req.ExecutionId = wrapperspb.String(string(execution))
			}
			stream, err := reprisev1.NewRepriseServiceClient(conn).StreamHistory(ctx, req, opts...)
			if err != nil {
				return err
			}
			for at := 0; ; {
				chunk, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				for _, m := range chunk.GetEvents() {
					if at++; at <= yielded {
						continue // came from a node that was lost
					}
					e, err := wire.Event(m)
					if err != nil {
						return fmt.Errorf("%w: %w", ErrNotSupported, err)
					}
					if started, ok := e.Body.(*history.ExecutionStarted); ok && execution == "" {
						execution = started.ExecutionID // the rest is of the same one
					}
					yielded = at
					if !yield(e, nil) {
						stop = true
						return nil
					}
				}
			}
		})
		if err != nil && !stop {
			yield(history.Event{}, err)
		}
	}
}
