package reprise

import (
	"context"
	"log/slog"

	"github.com/reprise-run/reprise/engine"
)

// Log returns a logger that is silent on replay, so each line appears once unless
// a crash comes between. Its lines tell the instance.
func (o *Orchestration) Log() *slog.Logger { return o.log }

// replayHandler drops records while the orchestration is replayed or unloaded.
type replayHandler struct {
	h    *engine.Handle
	next slog.Handler
}

func (r *replayHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return !r.h.Quiet() && r.next.Enabled(ctx, level)
}

func (r *replayHandler) Handle(ctx context.Context, record slog.Record) error {
	if r.h.Quiet() {
		return nil
	}
	return r.next.Handle(ctx, record)
}

func (r *replayHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &replayHandler{r.h, r.next.WithAttrs(attrs)}
}

func (r *replayHandler) WithGroup(name string) slog.Handler {
	return &replayHandler{r.h, r.next.WithGroup(name)}
}
