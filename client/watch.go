package client

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/history"
)

// Watch yields how an instance is: now, and again whenever it shows something else: its
// status, custom status, execution or tags, a request to end, or what it waits for. The
// cluster tells of what is committed; nothing is polled. It ends with the instance, of
// which the last value tells the output or the failure; values have no Input.
//
// It yields the newest state. What came between two values is left out where the loop's
// body is slower than the instance; the last one never is. When a node is lost, or
// another one leads, the rest comes from there: nothing is yielded that is older than
// what was, and nothing missed that is still the newest.
//
// Where the instance is replaced by a new start of its ID before its end could be told,
// it goes on with the new one, which has another Execution. An error ends it:
// [ErrNotFound] where there is no instance (any more), [ErrUnavailable], the context's.
//
//	for in, err := range c.Watch(ctx, "order-42") {
//		if err != nil {
//			return err
//		}
//		fmt.Println(in.Status, string(in.CustomStatus))
//	}
func (c *Client) Watch(ctx context.Context, id history.InstanceID) iter.Seq2[Instance, error] {
	return func(yield func(Instance, error) bool) {
		what := c.reads(id, "watch", "watch %q", id)
		what.long = true
		var seen []byte
		stop := false
		err := c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
			ctx, cancel := context.WithCancel(ctx)
			req := &reprisev1.WatchInstanceRequest{InstanceId: string(id), Seen: seen}
			stream, err := reprisev1.NewOrchestrationServiceClient(conn).WatchInstance(ctx, req, opts...)
			if err != nil {
				cancel()
				return err
			}
			news := newestOf(stream)
			defer news.wait()
			defer cancel()
			for m := range news.came {
				seen = m.GetSeen()
				in := detailFromWire(m.GetInstance())
				if !yield(in, nil) {
					stop = true
					return nil
				}
				if in.Status.Ended() {
					return nil
				}
			}
			return news.err
		})
		if err != nil && !stop {
			yield(Instance{}, err)
		}
	}
}

// newest is the newest message of a stream that has not been taken.
type newest struct {
	came  chan *reprisev1.WatchInstanceResponse // capacity 1; closed at the end of the stream
	err   error                                 // how it ended; set before came is closed
	ended chan struct{}
}

// newestOf reads a stream to its end, so that its messages do not become old on the way.
func newestOf(stream grpc.ServerStreamingClient[reprisev1.WatchInstanceResponse]) *newest {
	n := &newest{came: make(chan *reprisev1.WatchInstanceResponse, 1), ended: make(chan struct{})}
	go func() {
		defer close(n.ended)
		defer close(n.came)
		for {
			m, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				// The end of the instance comes before; without it the node has not
				// told all.
				n.err = status.Error(codes.Unavailable, "the node stopped telling of it")
				return
			}
			if err != nil {
				n.err = err
				return
			}
			select {
			case <-n.came: // nobody has taken it, and nobody will miss it
			default:
			}
			n.came <- m // there is room: nobody else puts anything there
		}
	}()
	return n
}

// wait returns when nothing is read any more.
func (n *newest) wait() { <-n.ended }
