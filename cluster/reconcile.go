package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// The pace of reconciliation.
const (
	settledPause   = 10 * time.Second
	unsettledPause = 300 * time.Millisecond
	changeTimeout  = 10 * time.Second
	// returnPause is how long a preferred leader must have been seen alive, and
	// how long this node must have led, before leadership goes back: nodes that
	// come and go do not make leadership come and go.
	returnPause = 3 * time.Second
)

// reconcile moves the group, which this node leads, towards the layout, until
// ctx is done. It makes one change at a time and looks anew after each.
func (n *Node) reconcile(ctx context.Context, g uint32, group *raftlog.Group) {
	r := reconciler{
		node: n, g: g, group: group, since: time.Now(),
		asked: make(map[peer.NodeID]identified), told: make(map[peer.NodeID]uint64),
	}
	for {
		changed := n.changed.wait()
		settled, err := r.step(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Debug("group does not fit the layout yet", "group", g, "error", err)
		}
		pause := unsettledPause
		if settled {
			pause = settledPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-changed:
			timer.Stop()
			// Changes come in bursts; one look is enough for all of one.
			select {
			case <-time.After(unsettledPause / 6):
			case <-ctx.Done():
				return
			}
		}
	}
}

type reconciler struct {
	node  *Node
	g     uint32
	group *raftlog.Group
	since time.Time // when this reign began
	asked map[peer.NodeID]identified
	told  map[peer.NodeID]uint64 // processes that know of the group's recovery
}

// identified is what a process of a node said about its replica. Another process
// may have another one.
type identified struct {
	incarnation uint64
	server      raftlog.ServerID
}

// step makes at most one change. settled is true if there is nothing to do until
// something changes.
func (r *reconciler) step(ctx context.Context) (settled bool, err error) {
	l := r.node.currentLayout()
	if l == nil {
		return false, nil
	}
	want, ok := l.group(r.g)
	if !ok {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, changeTimeout)
	defer cancel()
	have := r.group.Configuration()
	replicas, complete := r.identify(ctx, l, want.Replicas)
	complete = r.fence(ctx, l, want.Replicas) && complete

	// A node of which another replica is known now has lost the old one for good,
	// so that is removed first: while it counts, it only weakens the group.
	for _, s := range have {
		if id, known := replicas[s.ID.Node()]; known && id != s.ID && s.ID != r.group.Server() {
			return false, r.remove(ctx, l, s.ID)
		}
	}
	for _, name := range want.Replicas {
		id, known := replicas[name]
		if !known {
			continue
		}
		i := slices.IndexFunc(have, func(s raftlog.Server) bool { return s.ID == id })
		switch {
		case i < 0:
			r.node.log.Info("adding replica", "group", r.g, "server", id)
			return false, r.group.AddNonvoter(ctx, id)
		case !have[i].Voter && r.group.CaughtUp(id):
			r.node.log.Info("replica gets its vote", "group", r.g, "server", id)
			return false, r.group.AddVoter(ctx, id)
		case !have[i].Voter:
			complete = false
		}
	}
	if !complete {
		return false, nil
	}
	for _, s := range have {
		if slices.Contains(want.Replicas, s.ID.Node()) {
			continue
		}
		if s.ID == r.group.Server() {
			return false, r.handOver(ctx, replicas[want.Preferred])
		}
		return false, r.remove(ctx, l, s.ID)
	}
	return r.prefer(ctx, replicas, want.Preferred)
}

// identify asks nodes for their replicas, each process once. complete is false
// if one of them has not answered.
func (r *reconciler) identify(ctx context.Context, l *layout, nodes []peer.NodeID) (map[peer.NodeID]raftlog.ServerID, bool) {
	known, complete := make(map[peer.NodeID]raftlog.ServerID), true
	for _, name := range nodes {
		if name == r.node.self {
			known[name] = r.group.Server()
			continue
		}
		m, alive := r.node.member(name)
		if !alive || m.Cluster != l.Cluster {
			complete = false
			continue
		}
		if a, ok := r.asked[name]; ok && a.incarnation == m.Incarnation {
			known[name] = a.server
			continue
		}
		answer, err := r.node.ask(ctx, name, methodEnsure, mustJSON(replicaRequest{Cluster: l.Cluster, Group: r.g, Server: r.group.Server()}))
		if err != nil {
			complete = false
			continue
		}
		if !r.ofThisLineage(raftlog.ServerID(answer), m) {
			complete = false
			continue
		}
		// An old process may have answered for a new member record or the other way
		// round; either way the next incarnation is asked again.
		r.asked[name] = identified{m.Incarnation, raftlog.ServerID(answer)}
		known[name] = raftlog.ServerID(answer)
	}
	return known, complete
}

// fence tells the other nodes that the group was recovered, if it was, each process
// once: they may have replicas of before, which could elect a leader among
// themselves. It reports whether all that are there know.
func (r *reconciler) fence(ctx context.Context, l *layout, asked []peer.NodeID) (complete bool) {
	if r.group.Server().Lineage() == "" {
		return true
	}
	complete = true
	for _, m := range r.node.others() {
		if m.Cluster != l.Cluster || slices.Contains(asked, m.Name) || r.told[m.Name] == m.Incarnation {
			continue
		}
		answer, err := r.node.ask(ctx, m.Name, methodFence, mustJSON(replicaRequest{Cluster: l.Cluster, Group: r.g, Server: r.group.Server()}))
		if err != nil {
			complete = false
			continue
		}
		if id := raftlog.ServerID(answer); id != "" {
			r.ofThisLineage(id, m)
		}
		r.told[m.Name] = m.Incarnation
	}
	return complete
}

// ofThisLineage reports whether a replica belongs to the group's lineage. One of
// another lineage must never be taken in: its log may hold what this group calls
// lost, and lack what it calls committed.
func (r *reconciler) ofThisLineage(id raftlog.ServerID, m Member) bool {
	mine := r.group.Server()
	if id.Lineage() == mine.Lineage() {
		return true
	}
	ours, theirs := mine.Lineage().Generation(), id.Lineage().Generation()
	if theirs > ours {
		// This group is the one that was given up. Not here: to stop it waits for us.
		r.node.wg.Go(func() { r.group.Supersede(id) })
		return false
	}
	if r.told[m.Name] == m.Incarnation {
		return false
	}
	r.told[m.Name] = m.Incarnation
	if theirs == ours {
		r.node.log.Error("A GROUP WAS RECOVERED TWICE, from different replicas, and has gone separate ways. Decide which one holds; stop the nodes of the other one and move their data directories away",
			"group", r.g, "server", mine, "other", id)
		return false
	}
	r.node.log.Warn("a node has a replica of before the recovery of the group; it takes no part. Move its data directory away and start the node again: it joins as a new one",
		"group", r.g, "peer", m.Name, "server", id)
	return false
}

// remove takes a replica out of the group and tells its node, if it is there.
func (r *reconciler) remove(ctx context.Context, l *layout, id raftlog.ServerID) error {
	r.node.log.Info("removing replica", "group", r.g, "server", id)
	if err := r.group.RemoveServer(ctx, id); err != nil {
		return fmt.Errorf("remove %s: %w", id, err)
	}
	delete(r.asked, id.Node()) // its next replica is another one
	if _, alive := r.node.member(id.Node()); alive {
		// If it does not hear, it keeps bytes that nobody needs.
		_, err := r.node.ask(ctx, id.Node(), methodDrop, mustJSON(replicaRequest{Cluster: l.Cluster, Group: r.g, Server: id}))
		return err
	}
	return nil
}

// prefer gives leadership to the preferred leader, if it is there for some time.
func (r *reconciler) prefer(ctx context.Context, replicas map[peer.NodeID]raftlog.ServerID, preferred peer.NodeID) (bool, error) {
	if preferred == r.node.self || preferred == "" {
		return true, nil
	}
	m, alive := r.node.member(preferred)
	if !alive || m.Leaving {
		return true, nil // its return is a change
	}
	if r.node.clocks.isWrong(preferred) {
		return true, nil // it would give leadership back
	}
	if time.Since(r.since) < returnPause || time.Since(r.node.seenSince(preferred)) < returnPause || !r.group.CaughtUp(replicas[preferred]) {
		return false, nil
	}
	return false, r.handOver(ctx, replicas[preferred])
}

func (r *reconciler) handOver(ctx context.Context, to raftlog.ServerID) error {
	if to == "" {
		return errors.New("the preferred leader is not there")
	}
	r.node.log.Info("handing leadership over", "group", r.g, "to", to.Node())
	if err := r.group.TransferLeadership(ctx, to); err != nil {
		return fmt.Errorf("hand leadership to %s: %w", to, err)
	}
	return nil
}
