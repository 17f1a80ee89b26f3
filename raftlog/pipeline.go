package raftlog

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// maxPipelined bounds the requests that one pipeline has under way.
const maxPipelined = 32

// pipeline sends AppendEntries to one follower without waiting for the answer to
// the one before. It implements raft.AppendPipeline. The first failure closes it,
// and Raft goes on request by request.
type pipeline struct {
	transport *transport
	target    raft.ServerID
	ctx       context.Context
	cancel    context.CancelFunc
	sent      chan *appendFuture // in order of sending
	ready     chan raft.AppendFuture
	tasks     sync.WaitGroup
}

// appendFuture is one request of a pipeline. It implements raft.AppendFuture.
type appendFuture struct {
	started  time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	done     chan struct{}
	err      error // set before done is closed
}

// Error implements raft.Future.
func (f *appendFuture) Error() error {
	<-f.done
	return f.err
}

// Start implements raft.AppendFuture.
func (f *appendFuture) Start() time.Time { return f.started }

// Request implements raft.AppendFuture.
func (f *appendFuture) Request() *raft.AppendEntriesRequest { return f.request }

// Response implements raft.AppendFuture.
func (f *appendFuture) Response() *raft.AppendEntriesResponse { return f.response }

// AppendEntriesPipeline implements raft.Transport.
func (t *transport) AppendEntriesPipeline(id raft.ServerID, _ raft.ServerAddress) (raft.AppendPipeline, error) {
	p := &pipeline{
		transport: t,
		target:    id,
		sent:      make(chan *appendFuture, maxPipelined),
		ready:     make(chan raft.AppendFuture),
	}
	p.ctx, p.cancel = context.WithCancel(t.inc.ctx)
	p.tasks.Go(p.deliver)
	return p, nil
}

// AppendEntries implements raft.AppendPipeline. It blocks while the window is
// full.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	t := p.transport
	timeout := t.inc.group.host.cfg.RequestTimeout
	ctx, cancel := context.WithTimeout(p.ctx, timeout)
	f := &appendFuture{started: time.Now(), request: args, response: resp, done: make(chan struct{})}
	select {
	case p.sent <- f:
	case <-ctx.Done():
		cancel()
		p.cancel()
		return nil, raft.ErrPipelineShutdown
	}
	if p.ctx.Err() != nil || t.inc.group.host.failed() {
		cancel()
		p.cancel()
		return nil, raft.ErrPipelineShutdown
	}
	limitEntries(args)
	body := encodeAppend(t.frame(p.target), args)
	t.network.Request(ctx, ServerID(p.target).Node(), methodAppend, peer.Normal, body, func(answer []byte, err error) {
		cancel()
		if err == nil {
			err = decodeAppendAnswer(answer, resp)
		}
		if err == nil {
			t.inc.group.progress.note(ServerID(p.target), args, resp)
		}
		f.err = err
		close(f.done)
	})
	return f, nil
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// deliver hands the answers to Raft, in order.
func (p *pipeline) deliver() {
	defer p.cancel()
	for {
		var f *appendFuture
		select {
		case f = <-p.sent:
		case <-p.ctx.Done():
			return
		}
		select {
		case <-f.done:
			if f.err != nil {
				return
			}
		case <-p.ctx.Done():
			return
		}
		select {
		case p.ready <- f:
		case <-p.ctx.Done():
			return
		}
	}
}

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.cancel()
	p.tasks.Wait()
	return nil
}
