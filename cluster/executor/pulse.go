package executor

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var errSilent = errors.New("attempt was silent for too long")

// pulse watches whether an attempt lives.
type pulse struct {
	silent *time.Timer // ends the attempt; nil: it may be silent
	limit  time.Duration
	cancel context.CancelCauseFunc // where it may not be silent

	mu     sync.Mutex // guards the fields below
	newest history.Payload
	ended  bool
}

// feel returns a context with which the function of an attempt tells that it lives.
// The context ends when it is silent for too long.
func (a *Activities) feel(ctx context.Context, task leader.ActivityTask, beat func(history.Payload)) (context.Context, *pulse) {
	p := &pulse{}
	if task.Options != nil && task.Options.HeartbeatTimeout > 0 {
		ctx, p.cancel = context.WithCancelCause(ctx)
		p.limit = task.Options.HeartbeatTimeout
		p.silent = time.AfterFunc(p.limit, func() { p.cancel(errSilent) })
	}
	return reprise.ContextWithPulse(ctx, reprise.Pulse{
		Codec: a.registry.Codec(), Saved: task.Progress,
		Beat: func(progress history.Payload) {
			if p.take(progress) {
				beat(progress)
			}
		},
	}), p
}

// take notes a heartbeat; false: the attempt has ended.
func (p *pulse) take(progress history.Payload) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return false
	}
	if progress != nil {
		p.newest = progress
	}
	if p.silent != nil {
		p.silent.Reset(p.limit)
	}
	return true
}

// progress ends the heartbeats and returns the newest progress.
func (p *pulse) progress() history.Payload {
	p.end()
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest
}

func (p *pulse) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.silent != nil {
		p.silent.Stop()
		p.cancel(nil)
	}
}
