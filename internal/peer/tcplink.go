package peer

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"time"
)

// tcpLink moves messages over one connection.
type tcpLink struct {
	conn net.Conn
	in   *bufio.Reader
	out  *outbox
}

func newTCPLink(conn net.Conn, out *outbox) *tcpLink {
	return &tcpLink{conn: conn, in: bufio.NewReaderSize(conn, pieceBytes), out: out}
}

// greet sends a hello and reads the other side's.
func (l *tcpLink) greet(mine hello) (hello, error) {
	if err := l.sendHello(mine); err != nil {
		return hello{}, err
	}
	return l.readHello()
}

func (l *tcpLink) sendHello(h hello) error {
	if err := l.conn.SetWriteDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	_, err := l.conn.Write(appendFrame(nil, h.encode()))
	return err
}

func (l *tcpLink) readHello() (hello, error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(helloTimeout)); err != nil {
		return hello{}, err
	}
	p, err := readFrame(l.in, nil)
	if err != nil {
		return hello{}, err
	}
	if len(p) > maxHelloBytes {
		return hello{}, errors.New("not a node of reprise")
	}
	h, err := decodeHello(p)
	if err != nil {
		return hello{}, err
	}
	return h, l.conn.SetReadDeadline(time.Time{})
}

// run writes what is in the outbox and calls got for what arrives, until the
// connection fails, got returns an error, or ctx is done. It waits for both
// directions to end and returns the first error.
func (l *tcpLink) run(ctx context.Context, got func(*message) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := l.write(ctx); err != nil {
			cancel(err)
			_ = l.conn.Close() // wakes the reader
		}
	}()
	err := l.read(got)
	if errors.Is(err, net.ErrClosed) && context.Cause(ctx) != nil {
		err = context.Cause(ctx)
	}
	cancel(err)
	_ = l.conn.Close() // wakes the writer
	<-written
	return err
}

func (l *tcpLink) read(got func(*message) error) error {
	var parts assembler
	buf := make([]byte, 0, maxFrameBytes)
	for {
		p, err := readFrame(l.in, buf)
		if err != nil {
			return err
		}
		buf = p[:0]
		m, err := parts.add(p)
		if err != nil {
			return err
		}
		if m != nil {
			if err := got(m); err != nil {
				return err
			}
		}
	}
}

// write sends pieces as long as there are any, several in one system call.
func (l *tcpLink) write(ctx context.Context) error {
	buf := make([]byte, 0, 2*maxFrameBytes)
	for {
		more := true
		for more && len(buf) < maxFrameBytes {
			buf, more = l.out.next(buf)
		}
		if len(buf) > 0 {
			if err := l.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			if _, err := l.conn.Write(buf); err != nil {
				return err
			}
			buf = buf[:0]
			continue
		}
		select {
		case <-l.out.waiting:
			// Whoever is about to run may have more to send: one system call and one
			// wake-up of the other side for all of it.
			runtime.Gosched()
		case <-ctx.Done():
			return nil
		}
	}
}

// secure sets the options of a dialled connection and puts TLS around it.
func (t *TCP) secure(conn net.Conn, addr string) (net.Conn, error) {
	setOptions(conn)
	if t.cfg.TLS == nil {
		return conn, nil
	}
	cfg := t.cfg.TLS
	if cfg.ServerName == "" {
		cfg = cfg.Clone()
		cfg.ServerName, _, _ = net.SplitHostPort(addr)
	}
	c := tls.Client(conn, cfg)
	ctx, cancel := context.WithTimeout(t.ctx, helloTimeout)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w", addr, err)
	}
	return c, nil
}

// setOptions makes the kernel notice a dead connection.
func setOptions(conn net.Conn) {
	c, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	// An option that the system lacks only makes a dead connection cost more time.
	_ = c.SetNoDelay(true)
	_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 2 * time.Second, Interval: time.Second, Count: 3})
	_ = setUserTimeout(c, userTimeout)
}

// accept serves connections that others dialled.
func (t *TCP) accept() {
	for {
		conn, err := t.cfg.Listener.Accept()
		if err != nil {
			if t.ctx.Err() != nil {
				return
			}
			t.cfg.Logger.Warn("cannot accept a connection", "error", err)
			select {
			case <-t.ctx.Done():
				return
			case <-time.After(50 * time.Millisecond): // too many open files, most likely
			}
			continue
		}
		t.mu.Lock()
		if t.closed {
			t.mu.Unlock()
			_ = conn.Close() // nobody waits for it
			return
		}
		t.accepted[conn] = struct{}{}
		t.wg.Go(func() { t.serve(conn) })
		t.mu.Unlock()
	}
}

// serve answers the requests of one connection until it ends.
func (t *TCP) serve(raw net.Conn) {
	defer func() {
		_ = raw.Close() // may be closed already
		t.mu.Lock()
		delete(t.accepted, raw)
		t.mu.Unlock()
	}()
	setOptions(raw)
	conn := raw
	if t.cfg.TLS != nil {
		conn = tls.Server(raw, t.cfg.TLS)
	}
	out := newOutbox()
	l := newTCPLink(conn, out)
	theirs, err := l.readHello()
	if err != nil {
		if !errors.Is(err, io.EOF) {
			t.cfg.Logger.Warn("connection without a hello", "address", raw.RemoteAddr().String(), "error", err)
		}
		return
	}
	refusal := theirs.objection(t.cfg.Self, t.cfg.Cluster())
	mine := hello{incarnation: t.incarnation, cluster: t.cfg.Cluster(), from: t.cfg.Self, to: theirs.from, refusal: refusal}
	if err := l.sendHello(mine); err != nil || refusal != "" {
		if refusal != "" {
			t.cfg.Logger.Warn("connection refused", "node", theirs.from, "address", raw.RemoteAddr().String(), "reason", refusal)
		}
		return
	}
	t.met(theirs.from, theirs.incarnation)
	if p := t.peer(theirs.from); p != nil {
		p.seen()
	}
	err = l.run(t.ctx, func(m *message) error {
		if m.kind != frameRequest {
			return fmt.Errorf("%w: an answer on the wrong connection", errFrame)
		}
		t.handle(theirs.from, m, func(kind frameKind, body []byte) {
			if !out.put(&message{kind: kind, class: m.class, number: m.number, method: m.method, body: body}) {
				// The asker does not read. It learns by the loss of the connection.
				t.cfg.Logger.Warn("answers pile up; connection closed", "node", theirs.from)
				_ = raw.Close() // wakes the reader
			}
		})
		return nil
	})
	switch {
	case t.ctx.Err() != nil:
	case errors.Is(err, errFrame):
		t.cfg.Logger.Warn("damaged connection", "node", theirs.from, "error", err)
	case processGone(err):
		t.lost(theirs.from)
	}
}
