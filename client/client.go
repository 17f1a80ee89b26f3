package client

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// DefaultAddress is where a node takes requests if nobody says otherwise.
const DefaultAddress = "127.0.0.1:4001"

// Client calls a cluster. It is safe for concurrent use.
type Client struct {
	config config
	nodes  *nodes
}

// Dial returns a client of the cluster that the nodes at the addresses (host:port;
// at least one) belong to. Connections are made when they are needed: an address
// where nobody answers is no error here.
func Dial(addresses []string, opts ...Option) (*Client, error) {
	c := config{hub: history.DefaultTaskHub, codec: reprise.JSON, patience: 10 * time.Second, now: time.Now}
	for _, opt := range opts {
		opt(&c)
	}
	if len(addresses) == 0 {
		return nil, fmt.Errorf("dial: no address")
	}
	if err := history.ValidateTaskHub(c.hub); err != nil {
		return nil, fmt.Errorf("dial: %w", err)
	}
	transport := insecure.NewCredentials()
	if c.tls != nil {
		transport = credentials.NewTLS(c.tls)
	}
	dial := append([]grpc.DialOption{
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxMessageBytes), grpc.MaxCallSendMsgSize(maxMessageBytes)),
		// A dead node is found out while a wait of minutes is under way.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 2 * time.Second,
		}),
	}, c.dial...)
	return &Client{config: c, nodes: newNodes(addresses, dial)}, nil
}

// maxMessageBytes is what nodes receive and send at most.
const maxMessageBytes = 64 << 20

// Close ends the connections; calls under way fail.
func (c *Client) Close() error { return c.nodes.close() }

// newID returns 32 random hex digits.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
