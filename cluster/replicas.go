package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// replica is this node's part of a group. The mutex of the node guards it.
type replica struct {
	group  *raftlog.Group
	leader *leader.Leader // while this node leads the partition
	epoch  uint64         // of leader
	leads  bool           // this node leads the group
	over   chan struct{}  // closed when it does so no more; nil before it did
	// oversized are the instances that the next leader parks. Only lead touches it, and
	// one reign follows the other.
	oversized []*leader.OversizedError
}

// The requests about replicas between nodes.
const (
	methodEnsure = peer.Method("cluster/ensure-replica")
	methodDrop   = peer.Method("cluster/drop-replica")
	methodFence  = peer.Method("cluster/fence-replica")
)

type replicaRequest struct {
	Cluster string
	Group   uint32
	// Server is who asks: the leader. Of drop: only this one.
	Server raftlog.ServerID
}

// startReplicas starts all replicas that are on the disk.
func (n *Node) startReplicas() error {
	for _, g := range n.host.Groups() {
		if err := n.startReplica(g); err != nil {
			return err
		}
	}
	return nil
}

func (n *Node) startReplica(g raftlog.GroupID) error {
	n.starting.Lock()
	defer n.starting.Unlock()
	return n.startReplicaLocked(g)
}

// startReplicaLocked starts a replica unless it runs. Call with starting held.
func (n *Node) startReplicaLocked(g raftlog.GroupID) error {
	n.mu.Lock()
	r, stopping := n.replicas[uint32(g)], n.stopping
	n.mu.Unlock()
	if r != nil || stopping {
		return nil
	}
	group, err := n.host.Start(g, func(ctx context.Context, reign *raftlog.Reign) { n.lead(ctx, uint32(g), reign) })
	if err != nil {
		return fmt.Errorf("start replica of group %d: %w", g, err)
	}
	n.mu.Lock()
	n.replicas[uint32(g)] = &replica{group: group}
	n.mu.Unlock()
	n.changed.fire()
	return nil
}

// lead runs while this node leads a group.
func (n *Node) lead(ctx context.Context, g uint32, reign *raftlog.Reign) {
	r := n.awaitReplica(ctx, g)
	if r == nil {
		return
	}
	n.log.Info("leads", "group", g, "epoch", reign.Epoch())
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { n.reconcile(ctx, g, r.group) })
	var err error
	if g == systemGroup {
		n.setLeads(r, true, nil, 0)
		err = n.runSystem(ctx, reign, r.group.Server().Lineage().Generation())
	} else {
		l := leader.New(leader.Config{
			Partition: g, Log: reign, Executor: n.episodes, Entities: &operations{n}, Dispatcher: n.dispatcher,
			PartitionOf: n.partitionOfSlot, Courier: n.courier, Spans: n.spans.taker(), Meter: n.metrics.meter(g),
			Clock: n.cfg.Clock, Logger: n.log, Limits: n.cfg.Limits, Faults: n.cfg.Faults,
			MaxEntryBytes: raftlog.MaxEntryBytes, Oversized: r.oversized,
		})
		n.setLeads(r, true, l, reign.Epoch())
		err = l.Run(ctx)
	}
	n.setLeads(r, false, nil, 0)
	r.oversized = leader.Oversized(r.oversized, err)
	ended := ctx.Err() != nil
	cancel()
	wg.Wait()
	n.dispatcher.forgetPartition(g)
	n.episodes.ForgetReign(g, reign.Epoch())
	if !ended && err != nil && !errors.Is(err, raftlog.ErrReignOver) {
		n.log.Warn("reign ended", "group", g, "epoch", reign.Epoch(), "error", err)
		return
	}
	n.log.Info("leads no more", "group", g, "epoch", reign.Epoch())
}

// awaitReplica returns the replica once startReplica has put it into the table,
// or nil when ctx is done.
func (n *Node) awaitReplica(ctx context.Context, g uint32) *replica {
	for {
		changed := n.changed.wait()
		n.mu.Lock()
		r := n.replicas[g]
		n.mu.Unlock()
		if r != nil {
			return r
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

func (n *Node) setLeads(r *replica, leads bool, l *leader.Leader, epoch uint64) {
	n.mu.Lock()
	if r.leader != nil {
		g := uint32(r.group.ID())
		n.retired[g] = added(n.retired[g], r.leader.Stats())
	}
	r.leads, r.leader, r.epoch = leads, l, epoch
	if leads {
		r.over = make(chan struct{})
	} else {
		close(r.over)
	}
	n.mu.Unlock()
	n.changed.fire()
}

// ledPartitions returns the partitions that this node leads.
func (n *Node) ledPartitions() map[uint32]*raftlog.Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	led := make(map[uint32]*raftlog.Group)
	for g, r := range n.replicas {
		if r.leads && g != systemGroup {
			led[g] = r.group
		}
	}
	return led
}

// localLeader returns the leader of a partition if it is here.
func (n *Node) localLeader(p uint32) (*leader.Leader, uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.replicas[p]; r != nil && r.leader != nil {
		return r.leader, r.epoch
	}
	return nil, 0
}

// localLeaders returns all leaders on this node.
func (n *Node) localLeaders() []*leader.Leader {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []*leader.Leader
	for _, r := range n.replicas {
		if r.leader != nil {
			all = append(all, r.leader)
		}
	}
	return all
}

// handleEnsure makes sure that this node has a replica of a group, and answers
// with its identity.
func (n *Node) handleEnsure(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var req replicaRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	id, err := n.ensureReplica(req.Cluster, req.Group, req.Server)
	return []byte(id), err
}

func (n *Node) ensureReplica(cluster string, g uint32, by raftlog.ServerID) (raftlog.ServerID, error) {
	switch mine := n.clusterID(); {
	case mine == "":
		return "", errNotReady
	case mine != cluster:
		return "", fmt.Errorf("node %s %w", n.self, ErrOtherCluster)
	}
	n.starting.Lock() // not while it is being dropped
	defer n.starting.Unlock()
	id, err := n.host.CreateIn(raftlog.GroupID(g), by.Lineage())
	if err != nil {
		return "", fmt.Errorf("create replica of group %d: %w", g, err)
	}
	if err := n.startReplicaLocked(raftlog.GroupID(g)); err != nil || !n.givesWay(g, by) {
		return id, err
	}
	if id, err = n.host.CreateIn(raftlog.GroupID(g), by.Lineage()); err != nil {
		return "", fmt.Errorf("create replica of group %d: %w", g, err)
	}
	return id, n.startReplicaLocked(raftlog.GroupID(g))
}

// givesWay compares this node's replica of a group with the leader that asks for
// it. One of before a recovery stops for good, so that it elects nobody beside the
// group that goes on; if it is blank, it is removed, and givesWay reports that.
// Call with starting held.
func (n *Node) givesWay(g uint32, by raftlog.ServerID) (removed bool) {
	n.mu.Lock()
	r := n.replicas[g]
	n.mu.Unlock()
	if r == nil || r.group.Server().Lineage().Generation() >= by.Lineage().Generation() {
		return false
	}
	if !r.group.Blank() {
		r.group.Supersede(by)
		return false
	}
	n.mu.Lock()
	delete(n.replicas, g)
	n.mu.Unlock()
	if err := n.host.Remove(raftlog.GroupID(g)); err != nil {
		n.log.Warn("blank replica not removed", "group", g, "error", err)
		return false
	}
	return true
}

// handleFence tells a node which replica leads a group that was recovered, and
// answers with the identity of the node's own one, if it has one.
func (n *Node) handleFence(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var req replicaRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	n.starting.Lock()
	defer n.starting.Unlock()
	if mine := n.clusterID(); mine != req.Cluster {
		return nil, fmt.Errorf("node %s %w", n.self, ErrOtherCluster)
	}
	n.givesWay(req.Group, req.Server)
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.replicas[req.Group]; r != nil {
		return []byte(r.group.Server()), nil
	}
	return nil, nil
}

// presumeReplicas is a planted bug: the node makes the replicas that the layout
// gives it, without having been asked by the leader of each, and so votes with a
// blank log where it has lost its disk.
func (n *Node) presumeReplicas(l *layout) {
	groups := []uint32{systemGroup}
	for _, p := range l.Partitions {
		if slices.Contains(p.Replicas, n.self) {
			groups = append(groups, p.ID)
		}
	}
	for _, g := range groups {
		if _, err := n.ensureReplica(l.Cluster, g, ""); err != nil {
			n.log.Debug("replica not presumed", "group", g, "error", err)
		}
	}
}

// handleDrop removes a replica that its group has removed.
func (n *Node) handleDrop(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var req replicaRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode request: %w", err)
	}
	n.starting.Lock()
	defer n.starting.Unlock()
	cluster := n.clusterID()
	n.mu.Lock()
	r := n.replicas[req.Group]
	if req.Cluster != cluster || r == nil || r.group.Server() != req.Server {
		n.mu.Unlock()
		return nil, nil
	}
	delete(n.replicas, req.Group)
	n.mu.Unlock()
	if err := n.host.Remove(raftlog.GroupID(req.Group)); err != nil {
		return nil, fmt.Errorf("remove replica of group %d: %w", req.Group, err)
	}
	n.log.Info("replica removed", "group", req.Group)
	return nil, nil
}
