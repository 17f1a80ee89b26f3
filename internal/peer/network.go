package peer

import (
	"context"
	"errors"
)

// NodeID names a node: the name that its operator gave it.
type NodeID string

// Method names what is asked for; it selects the handler on the other side.
type Method string

// Class is the priority of a message. Frames of a higher class overtake those
// of a lower one, between the 64 KiB pieces of a long message.
type Class uint8

// The classes, most urgent first.
const (
	Urgent Class = iota // heartbeats, votes, read checks
	Normal              // log entries, requests, activities
	Bulk                // snapshots
)

// Errors of a [Network]. All of them leave open whether the request was handled.
var (
	// ErrUnreachable: there is no connection to the node, or it was lost.
	ErrUnreachable = errors.New("node not reachable")
	// ErrBusy: too much is queued for the node; the request was not sent.
	ErrBusy = errors.New("too many requests queued for the node")
	// ErrNoHandler: the node does not serve the method.
	ErrNoHandler = errors.New("node has no handler for the method")
)

// A RemoteError is an error that the other node's handler answered with. Handlers
// that need an error's identity encode it in their answer instead.
type RemoteError struct {
	Node    NodeID
	Method  Method
	Message string
}

func (e *RemoteError) Error() string {
	return string(e.Node) + ": " + string(e.Method) + ": " + e.Message
}

// Handler answers a request. It is called in the order in which the requests of
// one sender and class arrived, on the goroutine that reads the connection: it
// must not block. It may keep body. It must call reply exactly once, from any
// goroutine, at any time.
type Handler func(from NodeID, body []byte, reply func(body []byte, err error))

// Network is a node's way to its peers. It is safe for concurrent use.
type Network interface {
	// Self returns this node's ID.
	Self() NodeID
	// Handle sets the handler of a method. All handlers are set before traffic
	// begins.
	Handle(method Method, h Handler)
	// Request sends a request and returns at once. Requests to one node in one
	// class go out in the order of the calls. done is called exactly once, from
	// any goroutine and possibly before Request returns: with the answer, or with
	// an error when the handler failed, the connection was lost or ctx is done.
	// A request to the node itself is handled without a connection. The network
	// keeps body until done.
	Request(ctx context.Context, to NodeID, method Method, class Class, body []byte, done func(body []byte, err error))
	// Connected reports whether there is a live connection to the node.
	Connected(node NodeID) bool
}

// Call sends a request and waits for its answer.
func Call(ctx context.Context, n Network, to NodeID, method Method, class Class, body []byte) ([]byte, error) {
	type answer struct {
		body []byte
		err  error
	}
	ch := make(chan answer, 1)
	n.Request(ctx, to, method, class, body, func(body []byte, err error) { ch <- answer{body, err} })
	a := <-ch
	return a.body, a.err
}

// A LossReporter is a [Network] that tells when a peer's process is gone: its
// address refuses, its connection was reset, or another incarnation answers
// there. It is a hint: a process that is only cut off is not reported, and a
// report may be wrong. f is set before traffic begins and must not block.
type LossReporter interface {
	OnLost(f func(NodeID))
}

// Limits of a [Network].
const (
	// MaxMessageBytes is the longest body of a request or an answer.
	MaxMessageBytes = 64 << 20
	// maxQueuedBytes and maxQueuedMessages bound what waits for one peer in one
	// class; what is over is refused with ErrBusy. One message always fits.
	maxQueuedBytes    = 64 << 20
	maxQueuedMessages = 1 << 16
)

// ErrTooLong: the body is over [MaxMessageBytes]; nothing was sent.
var ErrTooLong = errors.New("message is too long")
