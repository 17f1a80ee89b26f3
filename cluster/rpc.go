package cluster

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// rpc lets nodes call each other with deadlines, cancellation and errors that
// keep their identity, over the node's network. It is safe for concurrent use.
//
// A request is: version 1 · call 8 · milliseconds that the caller waits 8 (0: no
// limit) · body. An answer is: version 1 · code 1 · body, or the error's text.
type rpc struct {
	net  peer.Network
	ctx  context.Context // of all handlers
	wg   *sync.WaitGroup
	next func() uint64

	mu      sync.Mutex // guards the fields below
	running map[callKey]context.CancelFunc
	stopped bool
}

type callKey struct {
	from peer.NodeID
	call uint64
}

const (
	rpcVersion       = 1
	rpcRequestHeader = 17
	rpcAnswerHeader  = 2
	methodCancel     = peer.Method("cluster/cancel")
	// maxCalls bounds the requests of others that run here at a time.
	maxCalls = 1 << 16
)

// errDoubled: the network brought a request twice.
var errDoubled = errors.New("call runs already")

// newRPC returns an rpc whose handlers run under ctx and are counted in wg.
func newRPC(ctx context.Context, net peer.Network, wg *sync.WaitGroup) *rpc {
	// Calls of two processes of one node must not have one number.
	start := rand.Uint64()
	var mu sync.Mutex
	r := &rpc{net: net, ctx: ctx, wg: wg, running: make(map[callKey]context.CancelFunc)}
	r.next = func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		start++
		return start
	}
	net.Handle(methodCancel, func(from peer.NodeID, body []byte, reply func([]byte, error)) {
		if len(body) == 8 {
			r.cancel(callKey{from, binary.BigEndian.Uint64(body)})
		}
		reply(nil, nil)
	})
	return r
}

// handle serves a method. h runs on a goroutine of its own; its context ends
// with the caller's patience, when the caller gives up, and with the node.
func (r *rpc) handle(method peer.Method, h func(ctx context.Context, from peer.NodeID, body []byte) ([]byte, error)) {
	r.net.Handle(method, func(from peer.NodeID, body []byte, reply func([]byte, error)) {
		if len(body) < rpcRequestHeader || body[0] != rpcVersion {
			reply(nil, errors.New("request of an unknown version"))
			return
		}
		key := callKey{from, binary.BigEndian.Uint64(body[1:])}
		limit := time.Duration(binary.BigEndian.Uint64(body[9:])) * time.Millisecond
		ctx, err := r.begin(key, limit)
		if errors.Is(err, errDoubled) {
			return // the first one answers
		}
		if err != nil {
			reply(encodeAnswer(nil, err), nil)
			return
		}
		go func() {
			defer r.wg.Done()
			defer r.cancel(key)
			answer, err := h(ctx, from, body[rpcRequestHeader:])
			reply(encodeAnswer(answer, err), nil)
		}()
	})
}

// begin registers a call and counts it in wg.
func (r *rpc) begin(key callKey, limit time.Duration) (context.Context, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopped {
		return nil, fmt.Errorf("%w: node is stopping", errNotHere)
	}
	if len(r.running) >= maxCalls {
		return nil, fmt.Errorf("%w: too many calls run", leader.ErrOverloaded)
	}
	if r.running[key] != nil {
		return nil, errDoubled
	}
	ctx, cancel := r.ctx, context.CancelFunc(nil)
	if limit > 0 {
		ctx, cancel = context.WithTimeout(ctx, limit)
	} else {
		ctx, cancel = context.WithCancel(ctx)
	}
	r.running[key] = cancel
	r.wg.Add(1)
	return ctx, nil
}

func (r *rpc) cancel(key callKey) {
	r.mu.Lock()
	cancel := r.running[key]
	delete(r.running, key)
	r.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// lost cancels the calls of a node whose process is gone.
func (r *rpc) lost(node peer.NodeID) {
	r.mu.Lock()
	var keys []callKey
	for k := range r.running {
		if k.from == node {
			keys = append(keys, k)
		}
	}
	r.mu.Unlock()
	for _, k := range keys {
		r.cancel(k)
	}
}

// stop refuses new calls.
func (r *rpc) stop() {
	r.mu.Lock()
	r.stopped = true
	r.mu.Unlock()
}

// call asks another node and waits. Errors of the network wrap
// [peer.ErrUnreachable] or [peer.ErrBusy]; those of the other node are of the
// table in status.go.
func (r *rpc) call(ctx context.Context, to peer.NodeID, method peer.Method, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	call := r.next()
	req := make([]byte, 0, rpcRequestHeader+len(body))
	req = append(req, rpcVersion)
	req = binary.BigEndian.AppendUint64(req, call)
	var limit uint64
	if deadline, ok := ctx.Deadline(); ok {
		limit = uint64(max(time.Until(deadline).Milliseconds(), 1))
	}
	req = binary.BigEndian.AppendUint64(req, limit)
	req = append(req, body...)
	answer, err := peer.Call(ctx, r.net, to, method, peer.Normal, req)
	if err != nil {
		if ctx.Err() != nil && to != r.net.Self() {
			// A hint; without it the other side stops at its own deadline.
			r.net.Request(context.WithoutCancel(ctx), to, methodCancel, peer.Normal,
				binary.BigEndian.AppendUint64(nil, call), func([]byte, error) {})
		}
		return nil, fmt.Errorf("ask %s for %s: %w", to, method, err)
	}
	return decodeAnswer(answer)
}

func encodeAnswer(body []byte, err error) []byte {
	if err == nil {
		return append([]byte{rpcVersion, byte(CodeOK)}, body...)
	}
	var redirect *redirectError
	if errors.As(err, &redirect) {
		return append([]byte{rpcVersion, byte(codeRedirect)}, redirect.to...)
	}
	var expired *leader.ExpiredError
	if errors.As(err, &expired) {
		return binary.BigEndian.AppendUint64([]byte{rpcVersion, byte(codeExpired)}, uint64(expired.Clock.UnixNano()))
	}
	return append([]byte{rpcVersion, byte(CodeOf(err))}, err.Error()...)
}

// Codes of errors that carry something else than a text: errNotHere with a node's
// name, leader.ErrRequestExpired with the partition's clock, nanoseconds since 1970.
const (
	codeRedirect Code = 255
	codeExpired  Code = 254
)

func decodeAnswer(b []byte) ([]byte, error) {
	if len(b) < rpcAnswerHeader || b[0] != rpcVersion {
		return nil, errors.New("answer of an unknown version")
	}
	code, body := Code(b[1]), b[rpcAnswerHeader:]
	switch code {
	case CodeOK:
		return body, nil
	case codeRedirect:
		return nil, &redirectError{peer.NodeID(body)}
	case codeExpired:
		if len(body) != 8 {
			return nil, leader.ErrRequestExpired
		}
		return nil, &leader.ExpiredError{Clock: time.Unix(0, int64(binary.BigEndian.Uint64(body))).UTC()}
	}
	return nil, FromCode(code, string(body))
}
