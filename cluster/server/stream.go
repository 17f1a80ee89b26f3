package server

import (
	"fmt"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// A chunk of a streamed history ends when it has reached either bound.
const (
	chunkBytes  = 256 << 10
	chunkEvents = 500
)

// streamHistory reads a history page by page and sends it chunk by chunk. All
// pages are of the execution that the first one named.
func streamHistory(b Backend, m *durabletask.StreamInstanceHistoryRequest, out grpc.ServerStreamingServer[durabletask.HistoryChunk], ours bool) error {
	ctx := out.Context()
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return err
	}
	req := leader.HistoryRequest{Instance: ref, Execution: history.ExecutionID(m.GetExecutionId().GetValue())}
	chunk, size := &durabletask.HistoryChunk{}, 0
	for {
		page, err := b.History(ctx, req)
		if err != nil {
			return fmt.Errorf("read history of %q: %w", ref.ID, err)
		}
		for _, e := range page.Events {
			if !ours && e.Body.Kind() >= history.KindTimerCanceled {
				continue
			}
			w, err := wire.FromEvent(e, ref.ID)
			if err != nil {
				return fmt.Errorf("read history of %q: %w", ref.ID, err)
			}
			chunk.Events = append(chunk.Events, w)
			if size += proto.Size(w); size >= chunkBytes || len(chunk.Events) >= chunkEvents {
				if err := out.Send(chunk); err != nil {
					return err
				}
				chunk, size = &durabletask.HistoryChunk{}, 0
			}
		}
		if page.NextEpisode == 0 {
			break
		}
		req.Execution, req.FromEpisode = page.Execution, page.NextEpisode
	}
	if len(chunk.Events) == 0 {
		return nil
	}
	return out.Send(chunk)
}
