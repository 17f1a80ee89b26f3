package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/cluster/server"
)

// StopPatience is how long [Node.Stop] takes at most.
const StopPatience = 15 * time.Second

// wantedProcs is how many of Go's processors a node should have. A write to disk keeps one
// of them busy, so with fewer the node waits for its disk when it could work.
const wantedProcs = 8

// Node is a node in this program, with the server of its clients and a client of it. Its
// methods are safe for concurrent use. Those of [cluster.Node] that it has besides tell
// whether it is ready, and give metrics.
type Node struct {
	*cluster.Node
	client *client.Client
	server *server.Server
	addr   string
	// served is closed when the server serves no more, which failed with err.
	served chan struct{}
	err    error
}

// Start starts a node that runs what the registry binds, serves its clients, and returns
// when it is up: that it takes part in a cluster, and that all of that cluster has leaders,
// is told by Ready. It lives until Stop, whatever becomes of ctx, which only ends the wait.
//
// Name and DataDir are needed. Without APIAddr the node serves on [client.DefaultAddress];
// without PeerAddr and GossipAddr it takes the two ports that follow the one of APIAddr, on
// the same host. TLSCert, TLSKey and TLSCA hold for clients, too, who must show a certificate
// of that authority then.
//
// Errors are those of [cluster.Start]: ErrConfig for settings that cannot be, ErrPortInUse,
// and for a data directory that is locked, another node's, damaged or newer one of its own
// each.
func Start(ctx context.Context, config cluster.Config, registry *reprise.Registry) (*Node, error) {
	config, err := withAddresses(config)
	if err != nil {
		return nil, err
	}
	if err := config.Validate(); err != nil { // before anything listens
		return nil, err
	}
	tls, err := config.ClientTLS()
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", config.APIAddr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("API address %s: %w: another program, or another node, listens there; choose another address", config.APIAddr, cluster.ErrPortInUse)
	case err != nil:
		return nil, fmt.Errorf("%w: API address %s: %w", cluster.ErrConfig, config.APIAddr, err)
	}
	config.APIAddr = listener.Addr().String() // it may have been port 0
	options := []client.Option{client.WithCodec(registry.Codec())}
	if tls != nil {
		options = append(options, client.WithTLS(tls))
	}
	c, err := client.Dial([]string{config.APIAddr}, options...)
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	node, err := cluster.Start(ctx, config, registry)
	if err != nil {
		return nil, errors.Join(err, c.Close(), listener.Close())
	}
	log := config.Logger
	if log == nil {
		log = slog.Default()
	}
	n := &Node{
		Node: node, client: c, addr: config.APIAddr, served: make(chan struct{}),
		server: server.New(node, server.Config{TLS: tls, Logger: log, Ready: node.Serving, Metrics: node.Metrics()}),
	}
	go func() {
		defer close(n.served)
		if n.err = n.server.Serve(listener); n.err != nil {
			n.err = fmt.Errorf("serve the API at %s: %w", n.addr, n.err)
			log.Error("the node takes no requests any more", "error", n.err)
		}
	}()
	if procs := runtime.GOMAXPROCS(0); procs < wantedProcs {
		log.Info("a node is faster with more of Go's processors, since a write to disk holds one: set the environment variable GOMAXPROCS, or call runtime.GOMAXPROCS before Start",
			"GOMAXPROCS", procs, "better", wantedProcs)
	}
	return n, nil
}

// withAddresses fills the addresses that were left out.
func withAddresses(c cluster.Config) (cluster.Config, error) {
	if c.APIAddr == "" {
		c.APIAddr = client.DefaultAddress
	}
	host, text, err := net.SplitHostPort(c.APIAddr)
	if err != nil {
		return c, fmt.Errorf("%w: API address %q: %w", cluster.ErrConfig, c.APIAddr, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return c, fmt.Errorf("%w: API address %q: the port is no number from 0 to 65535", cluster.ErrConfig, c.APIAddr)
	}
	after := func(n uint64) string {
		if port == 0 { // each takes a free one
			n = 0
		}
		return net.JoinHostPort(host, strconv.FormatUint(port+n, 10))
	}
	if c.PeerAddr == "" {
		c.PeerAddr = after(1)
	}
	if c.GossipAddr == "" {
		c.GossipAddr = after(2)
	}
	return c, nil
}

// Client returns a client of the node's cluster, with the codec of the registry. It is
// closed by Stop.
func (n *Node) Client() *client.Client { return n.client }

// APIAddr returns where clients reach the node.
func (n *Node) APIAddr() string { return n.addr }

// Served returns a channel that is closed when the node takes no requests of clients any
// more: after Stop, or because its listener failed; Stop returns the error.
func (n *Node) Served() <-chan struct{} { return n.served }

// Stop ends the node in good order: it takes no new requests, hands over what it leads, lets
// running activities end, and says good-bye, all within [StopPatience]. When ctx is done it goes
// on without patience.
func (n *Node) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StopPatience)
	defer cancel()
	n.server.Stop(ctx)
	<-n.served
	err := n.err
	if stopErr := n.Node.Stop(ctx); stopErr != nil {
		err = errors.Join(err, fmt.Errorf("stop the node: %w", stopErr))
	}
	return errors.Join(err, n.client.Close())
}
