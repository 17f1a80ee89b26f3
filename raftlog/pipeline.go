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
	// window holds one token for each request that was not handed to Raft yet.
	window chan struct{}
	// ready has room for twice the window: Raft takes from it at once, or has gone.
	ready chan raft.AppendFuture

	mu   sync.Mutex      // guards sent and the answers in it
	sent []*appendFuture // in order of sending
}

// appendFuture is one request of a pipeline. It implements raft.AppendFuture.
// Raft sees it when it is answered, and not if it failed.
type appendFuture struct {
	started  time.Time
	request  *raft.AppendEntriesRequest
	response *raft.AppendEntriesResponse
	answered bool
}

// Error implements raft.Future.
func (f *appendFuture) Error() error { return nil }

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
		window:    make(chan struct{}, maxPipelined),
		ready:     make(chan raft.AppendFuture, 2*maxPipelined),
	}
	p.ctx, p.cancel = context.WithCancel(t.inc.ctx)
	return p, nil
}

// AppendEntries implements raft.AppendPipeline. It blocks while the window is
// full. One goroutine calls it.
func (p *pipeline) AppendEntries(args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) (raft.AppendFuture, error) {
	t := p.transport
	ctx, cancel := context.WithTimeout(p.ctx, t.inc.group.host.cfg.RequestTimeout)
	select {
	case p.window <- struct{}{}:
	case <-ctx.Done():
	}
	if ctx.Err() != nil || t.inc.group.host.failed() {
		cancel()
		p.cancel()
		return nil, raft.ErrPipelineShutdown
	}
	f := &appendFuture{started: time.Now(), request: args, response: resp}
	p.mu.Lock()
	p.sent = append(p.sent, f)
	p.mu.Unlock()
	limitEntries(args)
	body := encodeAppend(t.frame(p.target), args)
	t.network.Request(ctx, ServerID(p.target).Node(), methodAppend, peer.Normal, body, func(answer []byte, err error) {
		cancel()
		if err == nil {
			err = decodeAppendAnswer(answer, resp)
		}
		if err != nil {
			p.cancel()
			return
		}
		t.inc.group.progress.note(ServerID(p.target), args, resp)
		p.answered(f)
	})
	return f, nil
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.ready }

// answered notes an answer and hands to Raft what is answered, in the order of
// sending. It does not block: the network calls it.
func (p *pipeline) answered(f *appendFuture) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.answered = true
	for len(p.sent) > 0 && p.sent[0].answered && p.ctx.Err() == nil {
		select {
		case p.ready <- p.sent[0]:
		default:
			p.cancel()
			return
		}
		p.sent[0] = nil
		p.sent = p.sent[1:]
		<-p.window
	}
}

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	p.cancel()
	return nil
}
