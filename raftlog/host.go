package raftlog

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/internal/peer"
)

// Host owns the disk of a node and runs its replicas. It is safe for concurrent
// use.
type Host struct {
	cfg   Config
	fs    *diskFS
	lock  *pebble.Lock
	cache *pebble.Cache
	marks *marks
	log   *logStore
	state *pebble.DB

	flusher  *flusher
	confirms *confirmer
	beat     *beat
	streams  chan struct{} // capacity 1: held while a stream's view begins, and by ingests
	senders  chan struct{} // held by snapshots being sent
	stop     chan struct{} // closed by Close
	tasks    sync.WaitGroup
	mute     atomic.Bool // the host has failed; see fatal
	stale    atomic.Uint64

	// making, by a part of the group's ID, is held while a replica is made,
	// bootstrapped or started: many are at once, and their writes share fsyncs.
	making [64]sync.Mutex

	mu     sync.Mutex // guards the fields below; never held during a write
	groups map[GroupID]*Group
	closed bool
	// replaced are the groups whose replica was found damaged at Open.
	replaced map[GroupID]string
}

// fatal ends the host: it becomes mute first, so that nothing leaves the node
// which its disk may not hold, and then tells OnFatal, once.
func (h *Host) fatal(err error) {
	if h.mute.Swap(true) {
		return
	}
	h.cfg.OnFatal(fmt.Errorf("node %s: %w", h.cfg.Self, err))
}

// failed reports whether the host is mute.
func (h *Host) failed() bool { return h.mute.Load() }

// Groups returns the groups of which this node has a replica, in order.
func (h *Host) Groups() []GroupID {
	return h.marks.groups()
}

// Replaced returns the groups whose replica was found damaged at Open, with the
// reason. Each has a blank replica with a new identity now.
func (h *Host) Replaced() map[GroupID]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return maps.Clone(h.replaced)
}

// claim waits until nobody makes a group's replica, and keeps others from it.
func (h *Host) claim(g GroupID) (release func()) {
	m := &h.making[int(g)%len(h.making)]
	m.Lock()
	return m.Unlock
}

// ended reports whether the host takes no work any more.
func (h *Host) ended() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed || h.failed()
}

// Create makes this node's replica of a group, or returns the identity of the
// one that exists. A new replica is blank and has no vote until it is added. It
// is durable when Create returns.
func (h *Host) Create(g GroupID) (ServerID, error) { return h.CreateIn(g, "") }

// CreateIn is Create for a group that was recovered: a new replica belongs to the
// lineage. One that exists may belong to another one, which its identity tells.
func (h *Host) CreateIn(g GroupID, lineage Lineage) (ServerID, error) {
	defer h.claim(g)()
	if h.ended() {
		return "", ErrClosed
	}
	id, err := h.log.identity(g)
	if err != nil || id != "" {
		return id, err
	}
	id = newServerID(h.cfg.Self, lineage)
	if h.cfg.Faults.KeepIdentity {
		id = reusedServerID(h.cfg.Self, g)
	}
	return id, h.log.create(g, id)
}

// Bootstrap gives an empty replica the first configuration of its group. Every
// node of the configuration bootstraps with the same one. ErrNotEmpty if the
// replica has a log, ErrUnknownGroup if there is none.
func (h *Host) Bootstrap(g GroupID, servers []ServerID) error {
	defer h.claim(g)()
	if h.ended() {
		return ErrClosed
	}
	if h.group(g) != nil {
		return fmt.Errorf("bootstrap group %d: it is running: %w", g, ErrNotEmpty)
	}
	log, err := openGroupLog(h.log, g, h.cfg.LogCacheBytes, h.failed)
	if err != nil {
		return err
	}
	if !slices.Contains(servers, log.server) {
		return fmt.Errorf("bootstrap group %d: this replica, %s, is not in the configuration", g, log.server)
	}
	if err := log.bootstrap(configurationOf(servers)); err != nil {
		return fmt.Errorf("bootstrap group %d: %w", g, err)
	}
	return nil
}

// Start starts a replica. lead runs for each reign of this replica: its context
// ends with the reign, and the next one begins only after lead has returned.
func (h *Host) Start(g GroupID, lead func(ctx context.Context, r *Reign)) (*Group, error) {
	defer h.claim(g)()
	if h.ended() {
		return nil, ErrClosed
	}
	if h.group(g) != nil {
		return nil, fmt.Errorf("start group %d: it is running", g)
	}
	group, err := newGroup(h, g, lead)
	if err != nil {
		return nil, fmt.Errorf("start group %d: %w", g, err)
	}
	h.mu.Lock()
	h.groups[g] = group
	h.mu.Unlock()
	return group, nil
}

// group returns a running group, nil if there is none.
func (h *Host) group(g GroupID) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.groups[g]
}

// running returns all running groups, in order.
func (h *Host) running() []*Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	var groups []*Group
	for _, g := range slices.Sorted(maps.Keys(h.groups)) {
		groups = append(groups, h.groups[g])
	}
	return groups
}

// Remove stops a replica and wipes its data.
func (h *Host) Remove(g GroupID) error {
	h.mu.Lock()
	group := h.groups[g]
	delete(h.groups, g)
	closed := h.closed || h.failed()
	h.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if group != nil {
		group.close()
	}
	// The state first: without an identity in the log store it is garbage, and
	// Open removes what a crash left.
	if err := h.wipeState(g); err != nil {
		return err
	}
	return h.log.remove(g)
}

// wipeState deletes a group's state, durably.
func (h *Host) wipeState(g GroupID) error {
	err := h.state.DeleteRange(groupStart(g), groupEnd(g), pebble.NoSync)
	if err == nil {
		err = h.state.Flush()
	}
	if err != nil {
		err = fmt.Errorf("wipe state of group %d: %w", g, err)
		h.fatal(err)
	}
	return err
}

// NodeLost hints that the process of a node is gone. Followers of a leader there
// ask the other voters and call an election at once if a majority agrees. It
// does not block.
func (h *Host) NodeLost(n peer.NodeID) {
	for _, g := range h.running() {
		g.nodeLost(n)
	}
}

// Fsyncs returns how many fsyncs the stores have done since Open.
func (h *Host) Fsyncs() uint64 { return h.fs.fsyncs.Load() }

// DiskLate reports whether a write or an fsync takes so long that the disk may be
// stalled; see [Config].StallTimeout for when it is.
func (h *Host) DiskLate() bool { return h.fs.late.Load() > 0 }

// StoreMetrics returns Pebble's figures of the log store and of the state store.
func (h *Host) StoreMetrics() (log, state *pebble.Metrics) {
	return h.log.db.Metrics(), h.state.Metrics()
}

// StaleRejected returns how many entries were refused at apply since Open.
func (h *Host) StaleRejected() uint64 { return h.stale.Load() }

// State reads the state store of all groups.
func (h *Host) State() pebble.Reader { return h.state }

// closePatience bounds the snapshots that Close makes.
const closePatience = 3 * time.Second

// Close stops all groups, makes the state durable and closes the stores. Readers
// of the state must have ended. Snapshots are made first where there is much log,
// so that the next Open need not read it again.
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	for i := range h.making {
		h.claim(GroupID(i))() // what began before has ended, and nothing begins any more
	}
	groups := h.running()
	var wg sync.WaitGroup
	h.flusher.settle(&wg, groups)
	for _, g := range groups {
		wg.Go(g.close)
	}
	wg.Wait()
	close(h.stop)
	h.tasks.Wait()
	var err error
	if !h.failed() {
		err = h.state.Flush()
	}
	return errors.Join(err, h.closeStores())
}

// closeStores closes what Open opened, in reverse.
func (h *Host) closeStores() error {
	var errs []error
	if h.state != nil {
		errs = append(errs, h.state.Close())
	}
	if h.log != nil {
		errs = append(errs, h.log.db.Close())
	}
	if h.marks != nil {
		errs = append(errs, h.marks.close())
	}
	if h.cache != nil {
		h.cache.Unref()
	}
	if h.lock != nil {
		errs = append(errs, h.lock.Close())
	}
	return errors.Join(errs...)
}
