package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// A new cluster is founded in two steps, like a transaction. The node with the
// lowest name proposes a layout to all of its nodes. Each accepts at most one
// proposal in its life, durably, makes its blank replicas and tells their
// identities. When all have accepted, the proposer writes down who the first
// voters are: from then on the founding is decided, and every node is told until
// it has heard. Whoever has heard may tell. A crash at any moment is continued
// where it was, because both sides keep what they said.
//
// A disk may be lost meanwhile. A node that lost its own accepts again, or, if the
// founding was decided before, comes back as a node that joins: its replicas have
// other identities now, and no vote. A proposer that lost its disk proposes anew,
// another cluster, and the nodes that agreed to its first proposal give that up;
// see supersedes for why this forks nothing.
const (
	methodCandidates = peer.Method("cluster/candidates")
	methodAccept     = peer.Method("cluster/accept")
	methodFounded    = peer.Method("cluster/founded")
	methodFounding   = peer.Method("cluster/founding")
)

// candidates returns the nodes with which this node would found a cluster, if it
// sees enough of them and none that has a cluster.
func (n *Node) candidates() ([]layoutNode, error) {
	record := n.data.get()
	switch {
	case record.Cluster != "":
		return nil, errors.New("it belongs to a cluster")
	case record.Founding != nil && record.Founding.Servers != nil:
		return nil, errors.New("the founding of its cluster is decided")
	}
	var nodes []layoutNode
	for _, m := range n.members.Members() {
		if m.Cluster != "" {
			return nil, fmt.Errorf("it sees %s, which belongs to a cluster", m.Name)
		}
		if !m.Leaving {
			nodes = append(nodes, m.asLayoutNode())
		}
	}
	if len(nodes) < n.cfg.BootstrapExpect {
		return nil, fmt.Errorf("it sees %d of %d nodes", len(nodes), n.cfg.BootstrapExpect)
	}
	slices.SortFunc(nodes, func(a, b layoutNode) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return nodes[:n.cfg.BootstrapExpect], nil
}

// bootstrap does what this node can do now for founding a cluster.
func (n *Node) bootstrap(ctx context.Context) error {
	f := n.data.get().Founding
	switch {
	case f == nil:
		proposed, err := n.propose(ctx)
		if !proposed || err != nil {
			return err
		}
	case f.Proposer != n.self && f.Servers == nil:
		return nil // its proposer will tell
	}
	return n.found(ctx)
}

// propose makes a proposal if this node is the one to do so, and all its nodes
// see the same nodes.
func (n *Node) propose(ctx context.Context) (bool, error) {
	if n.cfg.BootstrapExpect < 1 {
		return false, nil
	}
	nodes, err := n.candidates()
	if err != nil || nodes[0].Name != n.self {
		return false, nil // not yet, or not ours to do
	}
	for _, other := range nodes[1:] {
		answer, err := n.ask(ctx, other.Name, methodCandidates, nil)
		if err != nil {
			return false, err
		}
		var theirs []layoutNode
		if err := json.Unmarshal(answer, &theirs); err != nil {
			return false, fmt.Errorf("decode candidates of %s: %w", other.Name, err)
		}
		if !slices.EqualFunc(theirs, nodes, func(a, b layoutNode) bool { return a.Name == b.Name }) {
			return false, nil // gossip has not settled
		}
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	f := &founding{Proposer: n.self, Layout: foundLayout(hex.EncodeToString(id[:]), nodes, n.cfg.Partitions)}
	return true, n.data.update(func(r *nodeRecord) { r.Founding = f })
}

// found carries a proposal of this node, or a founding that is decided, to its
// end. The error says who has not accepted or heard yet.
func (n *Node) found(ctx context.Context) error {
	f := n.data.get().Founding
	if f.Servers == nil {
		decided := &founding{Proposer: f.Proposer, Layout: f.Layout, Servers: make(map[uint32][]raftlog.ServerID)}
		for _, node := range f.Layout.Nodes {
			servers, err := n.proposeTo(ctx, node.Name, f)
			if err != nil {
				return fmt.Errorf("propose a cluster to %s: %w", node.Name, err)
			}
			for g, id := range servers {
				decided.Servers[g] = append(decided.Servers[g], id)
			}
		}
		if err := n.data.update(func(r *nodeRecord) { r.Founding = decided }); err != nil {
			return err
		}
		f = decided
	}
	return errors.Join(n.founded(f), n.tell(ctx, f))
}

// tell lets every node of a founding that is decided hear of it.
func (n *Node) tell(ctx context.Context, f *founding) error {
	var missing []error
	for _, node := range f.Layout.Nodes {
		if node.Name == n.self {
			continue
		}
		err := errNotHere
		if _, alive := n.member(node.Name); alive {
			_, err = n.ask(ctx, node.Name, methodFounded, mustJSON(f))
		}
		switch {
		case errors.Is(err, ErrOtherCluster):
			// It lost its disk and went elsewhere; the groups do without it.
			n.log.Warn("a node that agreed to this cluster belongs to another one now", "peer", node.Name, "error", err)
		case err != nil:
			missing = append(missing, fmt.Errorf("tell %s of the new cluster: %w", node.Name, err))
		}
	}
	if len(missing) > 0 {
		return errors.Join(missing...)
	}
	return n.data.update(func(r *nodeRecord) { r.Told = true })
}

// hearOf asks a node of the cluster that this node agreed to found for what was
// decided, where the proposer cannot tell any more.
func (n *Node) hearOf(ctx context.Context, from peer.NodeID, agreed *founding) error {
	answer, err := n.ask(ctx, from, methodFounding, nil)
	if err != nil {
		return fmt.Errorf("ask %s how the cluster was founded: %w", from, err)
	}
	f, err := decodeFounding(answer)
	if err != nil {
		return err
	}
	if f.Layout.Cluster != agreed.Layout.Cluster || f.Servers == nil {
		return fmt.Errorf("ask %s how the cluster was founded: it tells of cluster %s", from, f.Layout.Cluster)
	}
	return n.founded(f)
}

func (n *Node) proposeTo(ctx context.Context, node peer.NodeID, f *founding) (map[uint32]raftlog.ServerID, error) {
	if node == n.self {
		return n.accept(f)
	}
	answer, err := n.ask(ctx, node, methodAccept, mustJSON(f))
	if err != nil {
		return nil, err
	}
	var servers map[uint32]raftlog.ServerID
	if err := json.Unmarshal(answer, &servers); err != nil {
		return nil, fmt.Errorf("decode servers: %w", err)
	}
	return servers, nil
}

// accept agrees to a proposal and returns this node's replicas.
func (n *Node) accept(f *founding) (map[uint32]raftlog.ServerID, error) {
	n.founding.Lock()
	defer n.founding.Unlock()
	record := n.data.get()
	switch {
	case record.Cluster != "":
		return nil, fmt.Errorf("node %s belongs to cluster %s: %w", n.self, record.Cluster, ErrOtherCluster)
	case record.Founding == nil:
		if err := n.data.update(func(r *nodeRecord) { r.Founding = f }); err != nil {
			return nil, err
		}
	case record.Founding.Layout.Cluster == f.Layout.Cluster:
		// It was accepted before; the answer was lost.
	case supersedes(f, record):
		if err := n.giveUpFounding(record.Founding, f); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("node %s has agreed to another founding, by %s: %w; if no cluster came of it, delete the data directories of these nodes", n.self, record.Founding.Proposer, ErrOtherCluster)
	}
	mine := slices.DeleteFunc(f.Layout.groups(), func(g uint32) bool {
		p, _ := f.Layout.group(g)
		return !slices.Contains(p.Replicas, n.self)
	})
	ids := make([]raftlog.ServerID, len(mine))
	err := atOnce(len(mine), func(i int) (err error) {
		if ids[i], err = n.host.Create(raftlog.GroupID(mine[i])); err != nil {
			err = fmt.Errorf("create replica of group %d: %w", mine[i], err)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	servers := make(map[uint32]raftlog.ServerID)
	for i, g := range mine {
		servers[g] = ids[i]
	}
	return servers, nil
}

// atOnce calls f for all numbers below count at once, so that their writes share
// fsyncs, and returns all errors.
func atOnce(count int, f func(int) error) error {
	errs := make([]error, count)
	var wg sync.WaitGroup
	for i := range count {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// supersedes reports whether a proposal takes the place of the one that a node
// has agreed to. A disk makes one proposal in its life, so a second one of the
// same proposer says that the disk with the first is lost. All nodes of the first
// must be in the second: right before it was made, each of them said that it
// belonged to no cluster, so none had heard that the first was decided, and
// without the lost disk nobody can decide it any more. What was given up never
// comes back, however late its messages are.
func supersedes(f *founding, record nodeRecord) bool {
	old := record.Founding
	return f.Proposer == old.Proposer && old.Servers == nil &&
		slices.Equal(f.Layout.names(), old.Layout.names()) &&
		!slices.Contains(record.GivenUp, f.Layout.Cluster)
}

// giveUpFounding goes over from one proposal to another. The replicas go first:
// no identity may be in the first configurations of two clusters.
func (n *Node) giveUpFounding(old, f *founding) error {
	n.log.Warn("the proposer of this cluster lost its disk and proposes another one", "proposer", f.Proposer, "old", old.Layout.Cluster, "new", f.Layout.Cluster)
	for _, g := range n.host.Groups() {
		if err := n.host.Remove(g); err != nil {
			return fmt.Errorf("remove replica of group %d: %w", g, err)
		}
	}
	return n.data.update(func(r *nodeRecord) {
		r.Founding, r.GivenUp = f, append(slices.Clip(r.GivenUp), old.Layout.Cluster)
	})
}

// founded begins to serve the cluster that was founded.
func (n *Node) founded(f *founding) error {
	n.founding.Lock()
	defer n.founding.Unlock()
	record := n.data.get()
	switch {
	case record.Cluster == f.Layout.Cluster:
		return nil // told before
	case record.Cluster != "":
		return fmt.Errorf("node %s belongs to cluster %s: %w", n.self, record.Cluster, ErrOtherCluster)
	case record.Founding == nil || record.Founding.Layout.Cluster != f.Layout.Cluster:
		// Its disk was lost after it had agreed: its replicas are others now, so it
		// comes back as a node that joins.
		return nil
	}
	// What is decided must not be given up any more.
	if err := n.data.update(func(r *nodeRecord) { r.Founding = f }); err != nil {
		return err
	}
	groups := slices.Sorted(maps.Keys(f.Servers))
	err := atOnce(len(groups), func(i int) error {
		return n.bootstrapReplica(raftlog.GroupID(groups[i]), f.Servers[groups[i]])
	})
	if err != nil {
		return err
	}
	err = n.data.update(func(r *nodeRecord) { r.Cluster, r.Layout = f.Layout.Cluster, f.Layout })
	if err != nil {
		return err
	}
	n.log.Info("cluster founded", "cluster", f.Layout.Cluster, "nodes", len(f.Layout.Nodes), "partitions", len(f.Layout.Partitions))
	n.learnLayout(f.Layout)
	n.announce()
	return n.startReplicas()
}

// bootstrapReplica gives this node's replica of a group its first configuration,
// if it is in it. A replica that was made anew since, because the logs were lost,
// is another one: the group takes it in when it has a leader.
func (n *Node) bootstrapReplica(g raftlog.GroupID, servers []raftlog.ServerID) error {
	if !slices.ContainsFunc(servers, func(id raftlog.ServerID) bool { return id.Node() == n.self }) {
		return nil
	}
	id, err := n.host.Create(g)
	if err != nil {
		return fmt.Errorf("create replica of group %d: %w", g, err)
	}
	if !slices.Contains(servers, id) {
		n.log.Warn("the logs of this node were lost while the cluster was founded; the replica joins its group anew", "group", g, "server", id)
		return nil
	}
	err = n.host.Bootstrap(g, servers)
	if err != nil && !errors.Is(err, raftlog.ErrNotEmpty) { // not empty: done before a crash
		return fmt.Errorf("bootstrap group %d: %w", g, err)
	}
	return nil
}

func (n *Node) handleCandidates(context.Context, peer.NodeID, []byte) ([]byte, error) {
	nodes, err := n.candidates()
	if err != nil {
		return nil, fmt.Errorf("node %s founds nothing: %w", n.self, err)
	}
	return mustJSON(nodes), nil
}

func (n *Node) handleAccept(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	f, err := decodeFounding(body)
	if err != nil {
		return nil, err
	}
	servers, err := n.accept(f)
	if err != nil {
		return nil, err
	}
	return mustJSON(servers), nil
}

func (n *Node) handleFounded(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	f, err := decodeFounding(body)
	if err != nil {
		return nil, err
	}
	return nil, n.founded(f)
}

func (n *Node) handleFounding(context.Context, peer.NodeID, []byte) ([]byte, error) {
	f := n.data.get().Founding
	if f == nil || f.Servers == nil {
		return nil, errNotReady
	}
	return mustJSON(f), nil
}

func decodeFounding(body []byte) (*founding, error) {
	f := new(founding)
	if err := json.Unmarshal(body, f); err != nil {
		return nil, fmt.Errorf("decode founding: %w", err)
	}
	if f.Layout == nil {
		return nil, errors.New("decode founding: no layout")
	}
	return f, f.Layout.check()
}

// ask calls another node with the patience of control messages.
func (n *Node) ask(ctx context.Context, to peer.NodeID, method peer.Method, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	return n.rpc.call(ctx, to, method, body)
}
