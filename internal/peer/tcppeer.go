package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// tcpPeer is this node's way to one peer: at most one session at a time, and a
// growing pause after each one that failed.
type tcpPeer struct {
	tcp *TCP
	id  NodeID

	mu      sync.Mutex // guards the fields below
	session *session   // nil while there is none
	last    error      // why the last one ended
	backoff time.Duration
	retryAt time.Time
	closed  bool
}

// session is one connection to a peer, from the first request that wants it to
// its loss. Requests queue while it is dialled.
type session struct {
	out   *outbox
	calls calls
	ctx   context.Context
	end   context.CancelFunc

	mu   sync.Mutex
	live bool // the hello was answered
}

func (p *tcpPeer) request(ctx context.Context, method Method, class Class, body []byte, done func([]byte, error)) {
	s, err := p.open()
	if err != nil {
		done(nil, err)
		return
	}
	number, ok := s.calls.add(ctx, p.id, done)
	if !ok {
		done(nil, fmt.Errorf("%w: connection to %s lost", ErrUnreachable, p.id))
		return
	}
	if !s.out.put(&message{kind: frameRequest, class: class, number: number, method: method, body: body}) {
		s.calls.finish(number, nil, fmt.Errorf("%w: %s", ErrBusy, p.id))
	}
}

// open returns the session, and begins one if there is none and the last one's
// pause is over.
func (p *tcpPeer) open() (*session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.session != nil:
		return p.session, nil
	case p.closed:
		return nil, fmt.Errorf("%w: this node is closing", ErrUnreachable)
	case time.Now().Before(p.retryAt):
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, p.id, p.last)
	}
	s := &session{out: newOutbox()}
	s.ctx, s.end = context.WithCancel(p.tcp.ctx)
	p.session = s
	p.tcp.wg.Go(func() { p.run(s) })
	return s, nil
}

// run dials, serves the session until it fails, and answers what is left.
func (p *tcpPeer) run(s *session) {
	defer s.end()
	err := p.connect(s)
	p.mu.Lock()
	if p.session == s {
		p.session = nil
	}
	p.last = err
	if s.isLive() {
		p.backoff = 0
	} else {
		p.backoff = min(max(2*p.backoff, firstBackoff), maxBackoff)
	}
	p.retryAt = time.Now().Add(p.backoff)
	p.mu.Unlock()
	s.calls.close(fmt.Errorf("%w: %s: %w", ErrUnreachable, p.id, err))
	if processGone(err) && s.ctx.Err() == nil {
		p.tcp.lost(p.id)
	}
}

func (p *tcpPeer) connect(s *session) error {
	t := p.tcp
	addr, ok := t.cfg.Resolve(p.id)
	if !ok {
		return errors.New("its address is not known")
	}
	ctx, cancel := context.WithTimeout(s.ctx, dialTimeout)
	raw, err := t.cfg.Dial(ctx, addr)
	cancel()
	if err != nil {
		return err
	}
	conn, err := t.secure(raw, addr)
	if err != nil {
		_ = raw.Close() // the first error counts
		return err
	}
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() }) // wakes the reader
	defer stop()
	defer conn.Close()
	link := newTCPLink(conn, s.out)
	theirs, err := link.greet(hello{incarnation: t.incarnation, cluster: t.cfg.Cluster(), from: t.cfg.Self, to: p.id})
	if err != nil {
		return fmt.Errorf("hello to %s: %w", addr, err)
	}
	refusal := theirs.refusal
	if refusal == "" && theirs.from != p.id {
		refusal = fmt.Sprintf("address %s is node %s", addr, theirs.from)
	}
	if refusal == "" && theirs.cluster != "" && t.cfg.Cluster() != "" && theirs.cluster != t.cfg.Cluster() {
		refusal = fmt.Sprintf("it belongs to cluster %s, this node to cluster %s", theirs.cluster, t.cfg.Cluster())
	}
	if refusal != "" {
		t.cfg.Logger.Warn("node refused", "node", p.id, "address", addr, "reason", refusal)
		return fmt.Errorf("%w: %s", ErrRefused, refusal)
	}
	t.met(p.id, theirs.incarnation)
	s.mu.Lock()
	s.live = true
	s.mu.Unlock()
	return link.run(s.ctx, func(m *message) error {
		if m.kind == frameRequest {
			return fmt.Errorf("%w: a request on the wrong connection", errFrame)
		}
		// The method is known to the caller; errors name the node.
		body, err := decodeAnswer(p.id, m.method, m.kind, m.body)
		s.calls.finish(m.number, body, err)
		return nil
	})
}

func (s *session) isLive() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live
}

func (p *tcpPeer) connected() bool {
	p.mu.Lock()
	s := p.session
	p.mu.Unlock()
	return s != nil && s.isLive()
}

// seen ends the pause before the next dial: the peer is there.
func (p *tcpPeer) seen() {
	p.mu.Lock()
	p.backoff, p.retryAt = 0, time.Time{}
	p.mu.Unlock()
}

func (p *tcpPeer) close() {
	p.mu.Lock()
	p.closed = true
	s := p.session
	p.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// processGone reports whether an error of a connection says that the process at
// the other end is not there, rather than that it cannot be reached.
func processGone(err error) bool {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return false
	case errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, ErrRefused), errors.Is(err, errFrame):
		return false
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
