package cluster

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// A new cluster is founded in two steps, like a transaction. The node with the
// lowest name proposes a layout to all of its nodes. Each accepts at most one
// proposal in its life, durably, makes its blank replicas and tells their
// identities. When all have accepted, the proposer writes down who the first
// voters are: from then on the founding is decided, and every node is told until
// it has heard. A crash at any moment is continued where it was, because both
// sides keep what they said.
const (
	methodCandidates = peer.Method("cluster/candidates")
	methodAccept     = peer.Method("cluster/accept")
	methodFounded    = peer.Method("cluster/founded")
)

// candidates returns the nodes with which this node would found a cluster, if it
// sees enough of them and none that has a cluster.
func (n *Node) candidates() ([]layoutNode, error) {
	if record := n.data.get(); record.Cluster != "" {
		return nil, errors.New("it belongs to a cluster")
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
	record := n.data.get()
	switch {
	case record.Founding != nil && record.Founding.Proposer != n.self:
		return nil // its proposer will tell
	case record.Founding == nil:
		proposed, err := n.propose(ctx)
		if !proposed || err != nil {
			return err
		}
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

// found carries a proposal of this node to its end.
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
	// The others first: while one of them has not heard, this node tries again.
	for _, node := range f.Layout.Nodes {
		if node.Name == n.self {
			continue
		}
		if _, err := n.ask(ctx, node.Name, methodFounded, mustJSON(f)); err != nil {
			return fmt.Errorf("tell %s of the new cluster: %w", node.Name, err)
		}
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
	case record.Founding != nil && record.Founding.Layout.Cluster == f.Layout.Cluster:
		// It was accepted before; the answer was lost.
	case record.Founding != nil:
		return nil, fmt.Errorf("node %s has agreed to another founding, by %s: %w; if no cluster came of it, delete the data directories of these nodes", n.self, record.Founding.Proposer, ErrOtherCluster)
	case record.Cluster != "":
		return nil, fmt.Errorf("node %s belongs to cluster %s: %w", n.self, record.Cluster, ErrOtherCluster)
	default:
		if err := n.data.update(func(r *nodeRecord) { r.Founding = f }); err != nil {
			return nil, err
		}
	}
	servers := make(map[uint32]raftlog.ServerID)
	for _, g := range f.Layout.groups() {
		if p, _ := f.Layout.group(g); !slices.Contains(p.Replicas, n.self) {
			continue
		}
		id, err := n.host.Create(raftlog.GroupID(g))
		if err != nil {
			return nil, fmt.Errorf("create replica of group %d: %w", g, err)
		}
		servers[g] = id
	}
	return servers, nil
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
	for g, servers := range f.Servers {
		if !slices.ContainsFunc(servers, func(id raftlog.ServerID) bool { return id.Node() == n.self }) {
			continue
		}
		err := n.host.Bootstrap(raftlog.GroupID(g), servers)
		if err != nil && !errors.Is(err, raftlog.ErrNotEmpty) { // not empty: done before a crash
			return fmt.Errorf("bootstrap group %d: %w", g, err)
		}
	}
	err := n.data.update(func(r *nodeRecord) { r.Founding, r.Cluster, r.Layout = f, f.Layout.Cluster, f.Layout })
	if err != nil {
		return err
	}
	n.log.Info("cluster founded", "cluster", f.Layout.Cluster, "nodes", len(f.Layout.Nodes), "partitions", len(f.Layout.Partitions))
	n.learnLayout(f.Layout)
	n.announce()
	return n.startReplicas()
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
