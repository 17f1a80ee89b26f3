package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/reprise-run/reprise"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// Node is a node of a cluster. Its methods are safe for concurrent use.
type Node struct {
	cfg         Config
	log         *slog.Logger
	self        peer.NodeID
	incarnation uint64
	functions   uint64 // hash of what code binds
	code        code

	data    *dataDir
	net     peer.Network
	closers []io.Closer // of what the node made itself, last made first
	members Membership
	host    *raftlog.Host

	rpc        *rpc
	worker     *worker
	dispatcher *dispatcher
	episodes   *episodes
	courier    *courier
	clocks     *clocks
	spans      *spans // nil: nobody wants them
	metrics    *metrics
	http       *http.Server // nil: none

	ctx     context.Context // ends when the node stops
	cancel  context.CancelFunc
	wg      sync.WaitGroup // everything that runs under ctx
	gossip  chan struct{}  // capacity 1: the members may have changed
	changed broadcast      // layout, members, replicas or leaders changed

	starting sync.Mutex // one replica is started or dropped at a time
	founding sync.Mutex // one step of the founding is taken at a time
	// announcing is held while the others are told what this node is.
	announcing sync.Mutex

	mu        sync.Mutex // guards the fields below
	layout    *layout    // nil until known
	slots     [history.Slots]uint32
	replicas  map[uint32]*replica
	system    *system // while this node leads the system group
	known     map[peer.NodeID]*known
	programs  map[string]bool         // that nodes have told since this process began
	hints     map[uint32]peer.NodeID  // who is said to lead a group
	retired   map[uint32]leader.Stats // counters of leaders that were here, by partition
	unsettled error                   // what tend met when it last looked
	stopping  bool
	failed    bool
	addrs     addresses
}

// addresses are where a node listens, as it found out.
type addresses struct{ api, peer, gossip, http string }

// Start starts a node. It returns when the node serves; that it belongs to a
// cluster and finds leaders is what [Node.Ready] waits for. ctx bounds the start
// only. Errors: see [ErrConfig] and those beside it; what is wrong with the
// registry.
func Start(ctx context.Context, cfg Config, registry *reprise.Registry) (*Node, error) {
	if err := registry.Err(); err != nil {
		return nil, err
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return start(ctx, cfg, newRegistered(registry, cfg))
}

// start starts a node from the disk up: what is started later may use what was
// started before.
func start(ctx context.Context, cfg Config, c code) (_ *Node, err error) {
	n := &Node{
		cfg: cfg, log: cfg.Logger.With("node", cfg.Name), self: peer.NodeID(cfg.Name),
		incarnation: rand.Uint64() | 1, functions: functionsHash(c), code: c,
		gossip: make(chan struct{}, 1), replicas: make(map[uint32]*replica),
		spans: newSpans(cfg.Spans), metrics: newMetrics(), retired: make(map[uint32]leader.Stats),
		known: make(map[peer.NodeID]*known), programs: make(map[string]bool), hints: make(map[uint32]peer.NodeID),
		addrs: addresses{api: cfg.APIAddr, peer: cfg.PeerAddr, gossip: cfg.GossipAddr},
	}
	n.ctx, n.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, n.shutdown())
		}
	}()
	if n.data, err = openDataDir(cfg.FS, cfg.DataDir, n.self); err != nil {
		return nil, err
	}
	n.data.failed = n.fatal
	record := n.data.get()
	if cfg.BootstrapExpect > 1 && record.Cluster == "" && cfg.Members == nil && len(n.seeds(record)) == 0 {
		return nil, fmt.Errorf("%w: bootstrap-expect is %d, but there is nobody to join; name the gossip addresses of the other nodes", ErrConfig, cfg.BootstrapExpect)
	}
	if err := errors.Join(n.openNetwork(), n.openMembership()); err != nil {
		return nil, err
	}
	n.worker, n.dispatcher, n.episodes = newWorker(n), newDispatcher(n), &episodes{n}
	n.courier = &courier{node: n}
	n.clocks = newClocks(n)
	n.rpc = newRPC(n.ctx, n.net, &n.wg)
	log := raftlog.Config{
		Self: n.self, Dir: n.data.raft(), FS: cfg.FS, Network: n.net, Logger: n.log, OnFatal: n.fatal, Faults: cfg.RaftFaults,
		TimeFsync: func(took time.Duration) { n.metrics.fsync.Observe(took.Seconds()) },
	}
	if cfg.TuneRaft != nil {
		cfg.TuneRaft(&log)
	}
	n.host, err = raftlog.Open(log)
	if err != nil {
		return nil, startError(err)
	}
	if err := n.checkReplicas(record); err != nil {
		return nil, err
	}
	if record.Cluster != "" {
		n.learnLayout(record.Layout)
	}
	n.handlers()
	if err := n.serveHTTP(); err != nil {
		return nil, err
	}
	if r, ok := n.net.(peer.LossReporter); ok {
		r.OnLost(n.lostProcess)
	}
	if t, ok := n.net.(*peer.TCP); ok {
		t.Serve()
	}
	if err := n.members.Start(ctx, n.asMember(), n.seeds(record), n.membersChanged); err != nil {
		return nil, err
	}
	n.observe()
	if record.Cluster != "" {
		if err := n.startReplicas(); err != nil {
			return nil, err
		}
	}
	if record.Cluster == "" && cfg.BootstrapExpect != 1 {
		n.log.Info("belongs to no cluster yet; it waits for other nodes", "bootstrap-expect", cfg.BootstrapExpect, "join", n.seeds(record))
	}
	if n.spans != nil {
		n.wg.Go(func() { n.spans.run(n.ctx) })
	}
	n.wg.Go(func() { n.tend(n.ctx) })
	n.wg.Go(func() { n.clocks.run(n.ctx) })
	n.wg.Go(func() { n.watchWaiting(n.ctx) })
	n.wg.Go(func() { n.tellHeartbeats(n.ctx) })
	n.wg.Go(func() { n.tendShares(n.ctx) })
	return n, nil
}

// checkReplicas refuses a disk that lost the only copy of the cluster's data.
func (n *Node) checkReplicas(record nodeRecord) error {
	if record.Cluster == "" || record.Layout == nil || len(record.Layout.Nodes) != 1 {
		return nil
	}
	groups := n.host.Groups()
	for _, g := range record.Layout.groups() {
		if !slices.Contains(groups, raftlog.GroupID(g)) {
			return fmt.Errorf("%s: %w: the log of group %d is gone, and no other node has a copy; restore a backup", n.data.path, ErrCorrupt, g)
		}
	}
	return nil
}

// handlers sets what this node answers to others.
func (n *Node) handlers() {
	r := n.rpc
	r.handle(methodInfo, n.handleInfo)
	r.handle(methodClock, n.handleClock)
	r.handle(methodLayout, n.handleLayout)
	r.handle(methodJoin, n.handleJoin)
	r.handle(methodCandidates, n.handleCandidates)
	r.handle(methodAccept, n.handleAccept)
	r.handle(methodFounded, n.handleFounded)
	r.handle(methodFounding, n.handleFounding)
	r.handle(methodEnsure, n.handleEnsure)
	r.handle(methodDrop, n.handleDrop)
	r.handle(methodFence, n.handleFence)
	r.handle(methodRun, n.handleRun)
	r.handle(methodResults, n.handleResults)
	r.handle(methodStopWork, n.handleStopWork)
	r.handle(methodSurvey, n.handleSurvey)
	r.handle(methodMissing, n.handleMissing)
	r.handle(methodRoom, n.handleRoom)
	r.handle(methodEpisode, n.handleEpisode)
	r.handle(methodOperations, n.handleOperations)
	r.handle(methodEntities, n.handleEntities)
	r.handle(methodQuery, n.handleQuery)
	r.handle(methodHeartbeats, n.handleHeartbeats)
	r.handle(methodShares, n.handleShares)
	n.net.Handle(methodLetters, n.handleLetters)
	serve(n, startRequest)
	serve(n, executeRequest)
	serve(n, terminateRequest)
	serve(n, raiseRequest)
	serve(n, cancelRequest)
	serve(n, statusRequest)
	serve(n, waitRequest)
	serve(n, watchRequest)
	serve(n, historyRequest)
	serve(n, signalRequest)
	serve(n, entityRequest)
	serve(n, queryRequest)
	serve(n, completeRequest)
	serve(n, heartbeatRequest)
	serve(n, updateRequest)
}

// Ready returns when the node knows the layout and every partition has a leader.
func (n *Node) Ready(ctx context.Context) error {
	for {
		changed := n.changed.wait()
		if n.allLed(ctx) {
			return nil
		}
		timer := time.NewTimer(lastRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the cluster: %w", ctx.Err())
		case <-n.ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: node is stopping", ErrUnavailable)
		case <-changed:
			timer.Stop()
			select {
			case <-time.After(firstRetry):
			case <-ctx.Done():
			}
		case <-timer.C:
		}
	}
}

func (n *Node) allLed(ctx context.Context) bool {
	d, err := n.Describe(ctx)
	if err != nil {
		return false
	}
	for _, p := range d.Partitions {
		if p.Leader == "" {
			return false
		}
	}
	return true
}

// StaleRejected returns how many log entries of leaders that were none any more
// this node has refused since its start.
func (n *Node) StaleRejected() uint64 { return n.host.StaleRejected() }

// State reads what this node's replicas have applied: the keys of partition p
// begin with p in 4 bytes, big-endian. It is for checks of a whole store; it
// must not be used after Stop.
func (n *Node) State() pebble.Reader { return n.host.State() }

// Fsyncs returns how many fsyncs the node has done since its start.
func (n *Node) Fsyncs() uint64 { return n.host.Fsyncs() }

// fatal ends the node: it must not serve on.
func (n *Node) fatal(err error) {
	n.mu.Lock()
	first := !n.failed && !n.stopping
	n.failed = true
	n.mu.Unlock()
	if first {
		n.log.Error("node cannot go on", "error", err)
		n.cfg.OnFatal(startError(err))
	}
}

// clusterID returns the ID of the node's cluster, or "".
func (n *Node) clusterID() string {
	if n.data == nil {
		return ""
	}
	return n.data.get().Cluster
}

func (n *Node) leads(g uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.replicas[g]
	return r != nil && r.leads
}

// binds reports whether this process has an activity.
func (n *Node) binds(activity string) bool {
	return slices.Contains(n.code.Activities(), activity)
}
