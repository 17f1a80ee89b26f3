package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// TCPConfig is what a [TCP] is made of. Self, Listener and Resolve are needed.
type TCPConfig struct {
	Self     NodeID
	Listener net.Listener
	// Resolve returns the address of a node. It does not block.
	Resolve func(NodeID) (addr string, ok bool)
	// Dial opens a connection; nil: a net.Dialer.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// TLS is used in both directions, with client certificates; nil: none.
	TLS *tls.Config
	// Cluster returns the ID of this node's cluster, or "" while it has none. Nodes
	// of two clusters refuse each other. Nil: no check.
	Cluster func() string
	// Logger gets refusals and damaged connections; nil: slog.Default.
	Logger *slog.Logger
}

// TCP is the [Network] of a real node. Each node dials one connection to each
// peer, when it first has a request for it; its requests go out on that one, and
// their answers come back on it. So between two nodes there are at most two
// connections, and each direction of failure is seen by the one who cares.
type TCP struct {
	cfg         TCPConfig
	incarnation uint64
	ctx         context.Context // ends with Close
	cancel      context.CancelFunc
	wg          sync.WaitGroup // all goroutines but the loopback's
	self        calls
	loop        loopback

	mu       sync.Mutex // guards the fields below
	handlers map[Method]Handler
	onLost   func(NodeID)
	peers    map[NodeID]*tcpPeer
	accepted map[net.Conn]struct{}
	seen     map[NodeID]uint64 // newest incarnation of each peer
	closed   bool
	serving  bool
}

var (
	_ Network      = (*TCP)(nil)
	_ LossReporter = (*TCP)(nil)
)

// The timing of connections.
const (
	dialTimeout  = 2 * time.Second
	helloTimeout = 3 * time.Second
	writeTimeout = 10 * time.Second
	// userTimeout is after how long without acknowledgement the kernel gives a
	// connection up.
	userTimeout  = 5 * time.Second
	firstBackoff = 20 * time.Millisecond
	maxBackoff   = time.Second
)

// NewTCP returns a network that owns the listener. It accepts connections after
// [TCP.Serve].
func NewTCP(cfg TCPConfig) *TCP {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Cluster == nil {
		cfg.Cluster = func() string { return "" }
	}
	if cfg.Dial == nil {
		d := net.Dialer{Timeout: dialTimeout}
		cfg.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &TCP{
		cfg: cfg, incarnation: rand.Uint64() | 1, ctx: ctx, cancel: cancel,
		handlers: make(map[Method]Handler), peers: make(map[NodeID]*tcpPeer),
		accepted: make(map[net.Conn]struct{}), seen: make(map[NodeID]uint64),
	}
}

// Self implements [Network].
func (t *TCP) Self() NodeID { return t.cfg.Self }

// Handle implements [Network].
func (t *TCP) Handle(method Method, h Handler) {
	if len(method) > 255 {
		panic("peer: method name is too long: " + string(method))
	}
	t.mu.Lock()
	t.handlers[method] = h
	t.mu.Unlock()
}

// OnLost implements [LossReporter].
func (t *TCP) OnLost(f func(NodeID)) {
	t.mu.Lock()
	t.onLost = f
	t.mu.Unlock()
}

// Serve begins to accept connections. Call it once, after all handlers are set.
func (t *TCP) Serve() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || t.serving {
		return
	}
	t.serving = true
	t.wg.Go(t.accept)
}

// Close ends all connections and waits for all goroutines. Requests that wait
// fail with [ErrUnreachable].
func (t *TCP) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.cancel()
	err := t.cfg.Listener.Close()
	for c := range t.accepted {
		_ = c.Close() // wakes its reader
	}
	peers := make([]*tcpPeer, 0, len(t.peers))
	for _, p := range t.peers {
		peers = append(peers, p)
	}
	t.mu.Unlock()
	for _, p := range peers {
		p.close()
	}
	t.self.close(fmt.Errorf("%w: this node is closing", ErrUnreachable))
	t.wg.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close listener: %w", err)
	}
	return nil
}

// Connected implements [Network].
func (t *TCP) Connected(node NodeID) bool {
	if node == t.cfg.Self {
		return true
	}
	t.mu.Lock()
	p := t.peers[node]
	t.mu.Unlock()
	return p != nil && p.connected()
}

// Request implements [Network].
func (t *TCP) Request(ctx context.Context, to NodeID, method Method, class Class, body []byte, done func([]byte, error)) {
	switch err := ctx.Err(); {
	case err != nil:
		done(nil, err)
	case len(body) > MaxMessageBytes:
		done(nil, fmt.Errorf("%w: %s has %d bytes, at most %d are allowed", ErrTooLong, method, len(body), MaxMessageBytes))
	case to == t.cfg.Self:
		t.requestSelf(ctx, method, body, done)
	default:
		p := t.peer(to)
		if p == nil {
			done(nil, fmt.Errorf("%w: this node is closing", ErrUnreachable))
			return
		}
		p.request(ctx, method, class, body, done)
	}
}

func (t *TCP) requestSelf(ctx context.Context, method Method, body []byte, done func([]byte, error)) {
	id, ok := t.self.add(ctx, t.cfg.Self, done)
	if !ok {
		done(nil, fmt.Errorf("%w: this node is closing", ErrUnreachable))
		return
	}
	body = append([]byte{}, body...)
	queued := t.loop.do(func() {
		t.handle(t.cfg.Self, &message{method: method, body: body}, func(kind frameKind, answer []byte) {
			answer = append([]byte{}, answer...)
			b, err := decodeAnswer(t.cfg.Self, method, kind, answer)
			t.self.finish(id, b, err)
		})
	})
	if !queued {
		t.self.finish(id, nil, fmt.Errorf("%w: %s", ErrBusy, t.cfg.Self))
	}
}

// handle calls the handler of a request. answer is called once.
func (t *TCP) handle(from NodeID, m *message, answer func(frameKind, []byte)) {
	t.mu.Lock()
	h := t.handlers[m.method]
	t.mu.Unlock()
	if h == nil {
		answer(frameNoHandler, nil)
		return
	}
	var once sync.Once
	h(from, m.body, func(body []byte, err error) {
		once.Do(func() {
			switch {
			case err != nil:
				answer(frameError, []byte(err.Error()))
			case len(body) > MaxMessageBytes:
				answer(frameError, []byte(ErrTooLong.Error()))
			default:
				answer(frameAnswer, body)
			}
		})
	})
}

// decodeAnswer turns an answer as it came into what a request returns.
func decodeAnswer(node NodeID, method Method, kind frameKind, body []byte) ([]byte, error) {
	switch kind {
	case frameAnswer:
		return body, nil
	case frameNoHandler:
		return nil, fmt.Errorf("%w: %s at %s", ErrNoHandler, method, node)
	default:
		return nil, &RemoteError{Node: node, Method: method, Message: string(body)}
	}
}

// peer returns the peer's state, or nil after Close.
func (t *TCP) peer(id NodeID) *tcpPeer {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil
	}
	p := t.peers[id]
	if p == nil {
		p = &tcpPeer{tcp: t, id: id}
		t.peers[id] = p
	}
	return p
}

// lost reports that a peer's process is gone.
func (t *TCP) lost(id NodeID) {
	t.mu.Lock()
	f := t.onLost
	closed := t.closed
	t.mu.Unlock()
	if f != nil && !closed {
		f(id)
	}
}

// met notes the incarnation of a peer; one that differs from the last means that
// the process before is gone.
func (t *TCP) met(id NodeID, incarnation uint64) {
	t.mu.Lock()
	last := t.seen[id]
	t.seen[id] = incarnation
	t.mu.Unlock()
	if last != 0 && last != incarnation {
		t.lost(id)
	}
}
