package sim

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// Bugs are planted in every node of a world.
type Bugs struct {
	Log    raftlog.Faults
	Leader leader.Faults
}

// World is a simulated cluster: processes, disks, clocks and the network
// between them. It lives in a synctest bubble; its methods are called by one
// goroutine, the nemesis's, except where they say otherwise.
type World struct {
	rng      *rand.Rand
	logger   *slog.Logger
	registry func(node peer.NodeID) *reprise.Registry
	bugs     Bugs
	refusals atomic.Uint64 // a proposal is refused with probability refusals / 2^32
	offers   atomic.Uint64 // a heartbeat comes with a snapshot with probability offers / 2^32
	reigns   reigns

	// strikes tells the watchers that a fault begins.
	strikes chan struct{}

	network *peer.Memory
	gossip  *gossip
	nodes   []*node
	ended   sync.WaitGroup // processes that are being put away

	mu     sync.Mutex // guards fatal and the processes of nodes
	fatal  []string   // ends that no fault explains
	stales uint64     // of processes that have ended
}

// reigns counts the reigns in which something was proposed.
type reigns struct {
	mu   sync.Mutex // guards seen
	seen map[reign]bool
}

type reign struct {
	group raftlog.GroupID
	epoch uint64
}

func (r *reigns) note(g raftlog.GroupID, epoch uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.seen == nil {
		r.seen = map[reign]bool{}
	}
	r.seen[reign{g, epoch}] = true
}

func (r *reigns) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// node is a machine: its name, its disk and its clock stay when its process
// ends.
type node struct {
	name    peer.NodeID
	disk    *vfs.MemFS
	clock   wallClock
	process *cluster.Node
	paused  bool
}

func newWorld(seed uint64, nodes int, registry func(peer.NodeID) *reprise.Registry, bugs Bugs, logger *slog.Logger) *World {
	w := &World{
		rng:      rand.New(rand.NewPCG(seed, 1)),
		logger:   logger,
		registry: registry,
		bugs:     bugs,
		strikes:  make(chan struct{}, 1),
		network:  peer.NewMemory(seed),
		gossip:   newGossip(),
	}
	dice := rand.New(rand.NewPCG(seed, 2))
	var mu sync.Mutex // guards dice
	happens := func(limit uint64) bool {
		if limit == 0 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		return uint64(dice.Uint32()) < limit
	}
	w.bugs.Log.RefuseProposal = func(g raftlog.GroupID, epoch, _ uint64) bool {
		w.reigns.note(g, epoch)
		return happens(w.refusals.Load())
	}
	w.bugs.Log.OfferSnapshot = func(raftlog.GroupID) bool { return happens(w.offers.Load()) }
	for i := range nodes {
		w.nodes = append(w.nodes, &node{
			name: peer.NodeID(fmt.Sprintf("n%d", i+1)),
			disk: vfs.NewCrashableMem(),
		})
	}
	return w
}

// paces are how fast or slow the monotonic clock of a process runs: its timeouts are
// so much longer than they should be.
var paces = []float64{0.5, 1, 2.5}

// tuneRaft makes snapshots and truncations as frequent in minutes as they are in
// days. A simulated fsync copies the whole file, so a WAL had better be short.
//
// A leader whose pace is slow learns late that others have elected another one.
func tuneRaft(pace float64) func(*raftlog.Config) {
	return func(c *raftlog.Config) {
		c.MemTableBytes = 256 << 10
		c.SnapshotLogBytes = 128 << 10
		c.TrailingLogBytes = 32 << 10
		c.TruncateEntries = 20
		c.HashInterval = 64
		timeout := time.Duration(pace * float64(500*time.Millisecond))
		c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = timeout, timeout, timeout
	}
}

// between returns a random number.
func (w *World) between(low, high float64) float64 { return low + w.rng.Float64()*(high-low) }

// start starts a node's process on its disk. It returns an error only where the
// node cannot be configured.
func (w *World) start(n *node) error {
	process, err := cluster.Start(context.Background(), cluster.Config{
		Name:            string(n.name),
		DataDir:         "/data",
		BootstrapExpect: len(w.nodes),
		Partitions:      simPartitions,
		FS:              n.disk,
		Clock:           n.clock.read,
		Network:         w.network.Node(n.name),
		Members:         w.gossip.node(),
		Logger:          w.logger,
		OnFatal:         func(err error) { w.died(n, err) },
		Faults:          &w.bugs.Leader,
		RaftFaults:      &w.bugs.Log,
		TuneRaft:        tuneRaft(paces[w.rng.IntN(len(paces))]),
		// Two, so that an entry may be lost and the next one be accepted. And few letters
		// on their way, so that senders are held back while a partition is out of reach.
		Limits: leader.Limits{InFlight: 2, Letters: 12},
	}, w.registry(n.name))
	if err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	w.mu.Lock()
	n.process = process
	w.mu.Unlock()
	return nil
}

// died notes that a node ended itself.
func (w *World) died(n *node, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fatal = append(w.fatal, fmt.Sprintf("%s: %v", n.name, err))
}

// crash ends a node's process like kill -9, or like a power cut: then all that
// was not synced is lost. (A crash that keeps single unsynced blocks can keep a
// marker file of Pebble's and lose what it points to, which ordered file systems
// do not do.)
func (w *World) crash(n *node) {
	w.mu.Lock()
	process := n.process
	n.process = nil
	w.mu.Unlock()
	if process == nil {
		return
	}
	w.network.Crash(n.name)
	w.gossip.crashed(n.name)
	n.paused = false
	n.disk = n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100 * w.rng.IntN(2), RNG: w.rng})
	w.putAway(process)
}

// putAway ends a process that nobody hears any more.
func (w *World) putAway(process *cluster.Node) {
	w.mu.Lock()
	w.stales += process.StaleRejected()
	w.mu.Unlock()
	w.ended.Go(func() {
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_ = process.Stop(now) // its disk is not the node's any more
	})
}

// stop ends a node's process in good order.
func (w *World) stop(n *node) error {
	w.mu.Lock()
	process := n.process
	n.process = nil
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err := process.Stop(ctx)
	w.mu.Lock()
	w.stales += process.StaleRejected()
	w.mu.Unlock()
	return err
}

// running returns the process of a node, or nil. Any goroutine may call it.
func (w *World) running(i int) *cluster.Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.nodes[i].process
}

// cut cuts or mends one direction between two nodes.
func (w *World) cut(from, to *node, on bool) {
	w.network.Cut(from.name, to.name, on)
	w.gossip.cut(from.name, to.name, on)
}

// calm ends all faults: everything is mended and every node runs, with a clock
// that is right.
func (w *World) calm() error {
	w.refusals.Store(0)
	w.offers.Store(0)
	w.network.SetUsual(usualNetwork)
	w.network.Heal()
	for _, a := range w.nodes {
		for _, b := range w.nodes {
			w.gossip.cut(a.name, b.name, false)
		}
		if a.paused {
			w.network.Resume(a.name)
			a.paused = false
		}
		a.clock.run(0)
		a.clock.set(0)
	}
	for i, n := range w.nodes {
		if w.running(i) == nil {
			if err := w.start(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// staleRejected returns how many entries were refused at apply, by all processes.
func (w *World) staleRejected() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	sum := w.stales
	for _, n := range w.nodes {
		if n.process != nil {
			sum += n.process.StaleRejected()
		}
	}
	return sum
}

// close ends all processes.
func (w *World) close() {
	for i, n := range w.nodes {
		if p := w.running(i); p != nil {
			w.network.Crash(n.name)
			w.putAway(p)
		}
	}
	w.ended.Wait()
}
