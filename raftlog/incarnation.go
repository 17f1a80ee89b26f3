package raftlog

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// incarnation is one run of hashicorp/raft for a replica. A group has one at a
// time; the install of a snapshot ends it and starts the next.
type incarnation struct {
	group     *Group
	raft      *raft.Raft
	transport *transport
	ctx       context.Context
	cancel    context.CancelFunc
	stopped   chan struct{} // closed when Raft has shut down
	patience  patience

	mu    sync.Mutex // guards ended, and tasks against growing when it is set
	ended bool
	tasks sync.WaitGroup
}

// startIncarnation starts Raft on what the stores hold.
func startIncarnation(g *Group) (inc *incarnation, err error) {
	ctx, cancel := context.WithCancel(context.Background())
	inc = &incarnation{group: g, ctx: ctx, cancel: cancel, stopped: make(chan struct{})}
	inc.patience.election.Store(int64(g.host.cfg.ElectionTimeout))
	inc.transport = newTransport(inc)
	// Raft panics if an entry that it counts on is missing.
	defer func() {
		if p := recover(); p != nil {
			cancel()
			inc, err = nil, corrupt(fmt.Sprintf("log of group %d", g.id), fmt.Errorf("start Raft: %v", p))
		}
	}()
	inc.raft, err = raft.NewRaft(raftConfig(g), g.machine, g.log, g.log, snapshotStore{g}, inc.transport)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("start Raft: %w", err)
	}
	inc.spawn(inc.transport.answer)
	inc.spawn(inc.rule)
	inc.spawn(inc.keepPatience)
	return inc, nil
}

// raftConfig turns off what we do ourselves: snapshots by count of entries,
// truncation, restore at the start.
func raftConfig(g *Group) *raft.Config {
	c := g.host.cfg
	rc := raft.DefaultConfig()
	rc.LocalID = raft.ServerID(g.log.server)
	rc.HeartbeatTimeout = c.HeartbeatTimeout
	rc.ElectionTimeout = c.ElectionTimeout
	rc.LeaderLeaseTimeout = c.LeaderLeaseTimeout
	rc.CommitTimeout = c.CommitTimeout
	rc.MaxAppendEntries = c.MaxAppendEntries
	rc.BatchApplyCh = true
	rc.ShutdownOnRemove = false
	rc.SnapshotInterval = 24 * time.Hour
	rc.SnapshotThreshold = math.MaxUint64
	rc.TrailingLogs = math.MaxUint64
	rc.NoSnapshotRestoreOnStart = true
	rc.NoLegacyTelemetry = true
	rc.Logger = newRaftLogger(c.Logger.With("group", uint32(g.id)))
	return rc
}

// apply proposes a command. It waits only while Raft's queue is full.
func (inc *incarnation) apply(command []byte) raft.ApplyFuture {
	return releaseOn(inc.raft.Apply(command, 0), inc.stopped)
}

// spawn runs f on a goroutine for which stop waits. It returns false, and does not
// run it, once stop has begun to wait.
func (inc *incarnation) spawn(f func()) bool {
	inc.mu.Lock()
	defer inc.mu.Unlock()
	if !inc.ended {
		inc.tasks.Go(f)
	}
	return !inc.ended
}

// stop ends the incarnation and everything that it started.
func (inc *incarnation) stop() {
	inc.cancel()
	// Error waits for Raft's goroutines, and never fails.
	_ = inc.raft.Shutdown().Error()
	close(inc.stopped)
	inc.mu.Lock()
	inc.ended = true
	inc.mu.Unlock()
	inc.tasks.Wait()
}
