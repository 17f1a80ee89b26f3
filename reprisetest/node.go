package reprisetest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/test/bufconn"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/cluster/server"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

const (
	nodeName = "n1"
	// address is what the node says of itself; nobody listens there.
	address = client.DefaultAddress
	// raftPace and simulatedPace are how long the log's timers wait. There is nobody to
	// wait for, so they may be short where time is real; in a day of simulated time
	// each of them costs something.
	raftPace, simulatedPace = 50 * time.Millisecond, 3 * time.Second
	// stopPatience is how long the node may take to stop when the test is over.
	stopPatience = 30 * time.Second
)

// Node is a node in the process of a test, alone in its cluster. Its methods are safe for
// concurrent use.
type Node struct {
	t        testing.TB
	registry *reprise.Registry
	options  options
	log      *slog.Logger
	network  *peer.Memory
	client   *client.Client
	faults   faults

	mu      sync.Mutex // guards the fields below
	disk    *vfs.MemFS
	process process
	ended   sync.WaitGroup // processes that have crashed
}

// process is what ends in a crash.
type process struct {
	node   *cluster.Node
	server *server.Server
	door   *bufconn.Listener
}

// Option sets something of a [Node].
type Option func(*options)

type options struct {
	patience time.Duration
	kept     int
	labels   map[string]string
}

// Patience is how long a call of the client may wait for an orchestration until the test
// fails, with what the orchestration waits for; 30 days is the default.
func Patience(d time.Duration) Option { return func(o *options) { o.patience = d } }

// Keep lets executions stay in memory between their episodes, as a node in production
// does, where otherwise each episode is replayed from the history. A test whose history
// has thousands of events wants that.
func Keep() Option { return func(o *options) { o.kept = 0 } }

// Labels are those of the node, which activities may demand.
func Labels(labels map[string]string) Option { return func(o *options) { o.labels = labels } }

// Start starts a node that runs what the registry binds, and stops it when the test ends.
// In a bubble of testing/synctest it must be called inside.
func Start(t testing.TB, registry *reprise.Registry, opts ...Option) *Node {
	t.Helper()
	n := &Node{
		t: t, registry: registry, network: peer.NewMemory(1), disk: vfs.NewCrashableMem(),
		options: options{patience: 30 * 24 * time.Hour, kept: -1},
	}
	for _, opt := range opts {
		opt(&n.options)
	}
	n.faults.n = n
	n.log = slog.New(&handler{n: n})
	c, err := client.Dial([]string{address}, client.WithDialOptions(
		grpc.WithContextDialer(n.dial),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 1 << 62}),
	), client.WithInterceptor(n.faults.around))
	if err != nil {
		t.Fatalf("reprisetest: %v", err)
	}
	n.client = c
	t.Cleanup(n.stop)
	if err := n.start(); err != nil {
		t.Fatalf("reprisetest: start the node: %v", err)
	}
	return n
}

// Client returns a client of the node. It is closed when the test ends.
func (n *Node) Client() *client.Client { return n.client }

// Crash ends the node as kill -9 and a power cut would, and starts it again on what had
// reached its disk. Calls of the client that are under way go on with the new process.
//
// Go cannot end a goroutine: an activity that runs sees its context cancelled, and what
// it returns is lost.
func (n *Node) Crash() {
	n.t.Helper()
	n.mu.Lock()
	old := n.process
	n.process = process{}
	n.network.Crash(nodeName)
	n.disk = n.disk.CrashClone(vfs.CrashCloneCfg{})
	n.mu.Unlock()
	n.ended.Go(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		old.server.Stop(now)
		_ = old.node.Stop(now) // its disk is not the node's any more
	})
	if err := n.start(); err != nil {
		n.t.Fatalf("reprisetest: start the node again: %v", err)
	}
}

// start starts a process of the node and waits until it serves.
func (n *Node) start() error {
	n.mu.Lock()
	disk := n.disk
	n.mu.Unlock()
	ctx := context.Background()
	node, err := cluster.Start(ctx, cluster.Config{
		Name: nodeName, DataDir: "/data", APIAddr: address, Partitions: 1, BootstrapExpect: 1,
		Labels: n.options.labels, KeptExecutions: n.options.kept, Logger: n.log,
		FS: disk, Network: n.network.Node(nodeName), Members: &alone{}, TuneRaft: tuneRaft,
		OnFatal: func(err error) { n.faults.note(fmt.Errorf("the node cannot go on: %w", err)) },
	}, n.registry)
	if err != nil {
		return err
	}
	p := process{node, server.New(node, server.Config{Logger: n.log}), bufconn.Listen(1 << 20)}
	go func() { _ = p.server.Serve(p.door) }() // it ends with Stop
	n.mu.Lock()
	n.process = p
	n.mu.Unlock()
	return node.Ready(ctx)
}

// tuneRaft makes a log that is small, and quiet while nothing happens.
func tuneRaft(c *raftlog.Config) {
	pace := raftPace
	if simulated() {
		pace = simulatedPace
	}
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout, c.CommitTimeout = pace, pace, pace, pace
	c.MemTableBytes, c.CacheBytes = 1<<20, 8<<20
	c.CompactAtOnce = true
}

// simulated reports whether time is that of a bubble of testing/synctest, which begins at
// the year 2000. Only the pace of what is idle depends on it.
func simulated() bool { return time.Now().Year() < 2020 }

// dial connects the client to the process of the moment.
func (n *Node) dial(ctx context.Context, _ string) (net.Conn, error) {
	n.mu.Lock()
	door := n.process.door
	n.mu.Unlock()
	if door == nil {
		return nil, fmt.Errorf("the node is down")
	}
	return door.DialContext(ctx)
}

// stop stops the node when the test is over.
func (n *Node) stop() {
	_ = n.client.Close() // its calls have ended with the test
	n.mu.Lock()
	p := n.process
	n.process = process{}
	n.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if p.node != nil {
		p.server.Stop(ctx)
		if err := p.node.Stop(ctx); err != nil {
			n.t.Errorf("reprisetest: stop the node: %v", err)
		}
	}
	n.ended.Wait()
	n.faults.end()
}

// alone is the membership of a node without others.
type alone struct {
	mu   sync.Mutex // guards self
	self cluster.Member
}

// Start implements [cluster.Membership].
func (a *alone) Start(_ context.Context, self cluster.Member, _ []string, _ func()) error {
	a.Update(self)
	return nil
}

// Members implements [cluster.Membership].
func (a *alone) Members() []cluster.Member {
	a.mu.Lock()
	defer a.mu.Unlock()
	return []cluster.Member{a.self}
}

// Update implements [cluster.Membership].
func (a *alone) Update(self cluster.Member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.self = self
}

// Leave implements [cluster.Membership].
func (a *alone) Leave(context.Context) error { return nil }

// Close implements [cluster.Membership].
func (a *alone) Close() error { return nil }
