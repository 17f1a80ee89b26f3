package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/partition/leader"
)

// MaxWatches is how many watchers one node tells; one more is refused as long as that is
// so, and turns to another node.
const MaxWatches = 10_000

// watchPause is how long after one message the next one goes at the earliest. An
// instance that changes faster costs a watcher no more than that.
const watchPause = 20 * time.Millisecond

// WatchInstance tells a watcher of an instance. What is sent next is asked for when the
// stream takes it, after a pause: a watcher that reads slowly makes no queue, and misses
// what was not the newest any more.
func (s *orchestrationService) WatchInstance(m *reprisev1.WatchInstanceRequest, out grpc.ServerStreamingServer[reprisev1.WatchInstanceResponse]) error {
	ctx := out.Context()
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return err
	}
	req := leader.WatchRequest{Instance: ref}
	if req.Seen, err = parseSeen(m.GetSeen()); err != nil {
		return fmt.Errorf("watch %q: %w", ref.ID, err)
	}
	defer s.watches.Add(-1)
	if s.watches.Add(1) > MaxWatches {
		return fmt.Errorf("watch %q: %w: this node has %d watchers", ref.ID, leader.ErrOverloaded, MaxWatches)
	}
	pause := time.NewTimer(watchPause)
	defer pause.Stop()
	for {
		a, err := s.backend.Watch(ctx, req)
		if err != nil {
			return fmt.Errorf("watch %q: %w", ref.ID, err)
		}
		if err := out.Send(&reprisev1.WatchInstanceResponse{Instance: detailToWire(a.Instance, true), Seen: formatSeen(a.Seen)}); err != nil {
			return err
		}
		if a.Instance.Status.Ended() {
			return nil
		}
		req.Seen = a.Seen
		pause.Reset(watchPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// seenBytes is the length of what was seen: epoch 8 · sum 8.
const seenBytes = 16

func formatSeen(s leader.Seen) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, seenBytes), s.Epoch), s.Sum)
}

func parseSeen(b []byte) (leader.Seen, error) {
	switch len(b) {
	case 0:
		return leader.Seen{}, nil
	case seenBytes:
		return leader.Seen{Epoch: binary.BigEndian.Uint64(b), Sum: binary.BigEndian.Uint64(b[8:])}, nil
	}
	return leader.Seen{}, fmt.Errorf("%w: what was seen has %d bytes; give back what a message had, or nothing", leader.ErrInvalid, len(b))
}

// until is a stream with a context of ours.
type until struct {
	grpc.ServerStream
	ctx context.Context
}

func (s until) Context() context.Context { return s.ctx }
