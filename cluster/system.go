package cluster

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// layoutKey is the one row of the system group.
var layoutKey = append(binary.BigEndian.AppendUint32(nil, systemGroup), "\x01layout"...)

// system is the leader of the system group during one reign: the only one who
// changes the layout. Its loop runs in run; change may be called by anybody.
type system struct {
	changes chan layoutChange
	ended   <-chan struct{}
}

type layoutChange struct {
	change func(*layout) *layout
	done   chan<- *layout // capacity 1; closed without a value if the reign ended
}

// recoveredVersions is by how much the version of the layout rises when the system
// group was recovered: nodes may know layouts that the group has lost, and must not
// take them for newer.
const recoveredVersions = 1 << 20

// runSystem leads the system group until its reign ends. generation counts the
// recoveries of the group.
func (n *Node) runSystem(ctx context.Context, reign *raftlog.Reign, generation uint64) error {
	s := &system{changes: make(chan layoutChange), ended: ctx.Done()}
	current, err := readLayout(reign.State())
	if err != nil {
		return err
	}
	if current == nil {
		f := n.data.get().Founding
		if f == nil || f.Servers == nil {
			return errors.New("the system group is empty, and this node did not found the cluster")
		}
		if err := commitLayout(ctx, reign, f.Layout); err != nil {
			return err
		}
		current = f.Layout
	}
	if next := current.recovered(n.currentLayout(), generation); next != current {
		if err := commitLayout(ctx, reign, next); err != nil {
			return err
		}
		n.log.Warn("the system group was recovered; the layout goes on from the newest that is known here", "from", current.Version, "version", next.Version)
		current = next
	}
	n.learnLayout(current)
	n.setSystem(s)
	defer n.setSystem(nil)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case c := <-s.changes:
			next := c.change(current)
			if next != current {
				if err := commitLayout(ctx, reign, next); err != nil {
					close(c.done)
					return err
				}
				current = next
				n.log.Info("layout changed", "version", next.Version, "nodes", len(next.Nodes))
				n.learnLayout(next)
			}
			c.done <- current
		}
	}
}

// apply changes the layout and returns the new one. change returns its argument
// if there is nothing to change.
func (s *system) apply(ctx context.Context, change func(*layout) *layout) (*layout, error) {
	done := make(chan *layout, 1)
	select {
	case s.changes <- layoutChange{change, done}:
	case <-s.ended:
		return nil, errNotHere
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case l, ok := <-done:
		if !ok {
			return nil, errNotHere
		}
		return l, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func readLayout(state pebble.Reader) (*layout, error) {
	value, closer, err := state.Get(layoutKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read layout: %w", err)
	}
	l, err := decodeLayout(slices.Clone(value))
	return l, errors.Join(err, closer.Close())
}

// commitLayout writes the layout and waits until this replica has applied it.
func commitLayout(ctx context.Context, reign *raftlog.Reign, l *layout) error {
	var batch pebble.Batch
	if err := batch.Set(layoutKey, l.encode(), nil); err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	sequence, err := reign.Propose(slices.Clone(batch.Repr()))
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	for reign.Applied() < sequence {
		select {
		case <-reign.Advanced():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (n *Node) setSystem(s *system) {
	n.mu.Lock()
	n.system = s
	n.mu.Unlock()
}

// The requests about layouts between nodes.
const (
	methodJoin   = peer.Method("cluster/join")
	methodLayout = peer.Method("cluster/layout")
)

// joinRequest asks for a place in the layout. The answer is the layout.
type joinRequest struct {
	Node layoutNode
	// Cluster is the ID of the node's cluster, empty if it has none.
	Cluster string
	// Forwarded is set where the request came by way of a third node.
	Forwarded bool
}

// handleJoin adds a node to the layout, or passes the request to the leader of
// the system group.
func (n *Node) handleJoin(ctx context.Context, from peer.NodeID, body []byte) ([]byte, error) {
	var req joinRequest
	if err := json.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode join: %w", err)
	}
	l := n.currentLayout()
	if l == nil {
		return nil, errNotReady
	}
	if req.Cluster != "" && req.Cluster != l.Cluster {
		return nil, fmt.Errorf("node %s with data of cluster %s cannot join cluster %s: %w", req.Node.Name, req.Cluster, l.Cluster, ErrOtherCluster)
	}
	n.mu.Lock()
	s := n.system
	n.mu.Unlock()
	if s != nil {
		l, err := s.apply(ctx, func(l *layout) *layout { return l.withNode(req.Node) })
		if err != nil {
			return nil, err
		}
		return l.encode(), nil
	}
	if req.Forwarded {
		return nil, errNotHere
	}
	to, ok := n.leaderOf(systemGroup)
	if !ok || to == n.self {
		return nil, errNotHere
	}
	req.Forwarded = true
	return n.rpc.call(ctx, to, methodJoin, mustJSON(req))
}

func (n *Node) handleLayout(context.Context, peer.NodeID, []byte) ([]byte, error) {
	l := n.currentLayout()
	if l == nil {
		return nil, errNotReady
	}
	return l.encode(), nil
}

// join asks a node of a cluster for a place in its layout.
func (n *Node) join(ctx context.Context, by peer.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	answer, err := n.rpc.call(ctx, by, methodJoin, mustJSON(joinRequest{Node: n.asLayoutNode(), Cluster: n.clusterID()}))
	if f := n.cfg.RaftFaults; err != nil && f != nil && f.KeepIdentity {
		// The planted bug again: the word of any node will do.
		answer, err = n.rpc.call(ctx, by, methodLayout, nil)
	}
	if err != nil {
		return fmt.Errorf("join by way of %s: %w", by, err)
	}
	l, err := decodeLayout(answer)
	if err != nil {
		return fmt.Errorf("join by way of %s: %w", by, err)
	}
	return n.enter(l)
}

// enter makes this node a member of the layout's cluster, for ever.
func (n *Node) enter(l *layout) error {
	record := n.data.get()
	if record.Cluster == "" {
		if f := record.Founding; f != nil && f.Layout.Cluster != l.Cluster {
			return fmt.Errorf("this node agreed to found cluster %s and cannot join cluster %s: %w; if no cluster came of the founding, delete the data directory of this node, which holds nothing yet", f.Layout.Cluster, l.Cluster, ErrOtherCluster)
		}
		err := n.data.update(func(r *nodeRecord) { r.Cluster, r.Layout = l.Cluster, l })
		if err != nil {
			return err
		}
		n.log.Info("joined cluster", "cluster", l.Cluster)
	}
	n.learnLayout(l)
	return nil
}

// fetchLayout asks another node for a newer layout.
func (n *Node) fetchLayout(ctx context.Context, from peer.NodeID) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	answer, err := n.rpc.call(ctx, from, methodLayout, nil)
	if err != nil {
		return err
	}
	l, err := decodeLayout(answer)
	if err != nil {
		return fmt.Errorf("layout of %s: %w", from, err)
	}
	if l.Cluster != n.clusterID() {
		return fmt.Errorf("layout of %s: %w", from, ErrOtherCluster)
	}
	n.learnLayout(l)
	return nil
}

// learnLayout takes a layout that is newer than the known one, and stores it.
func (n *Node) learnLayout(l *layout) {
	n.mu.Lock()
	if n.layout != nil && n.layout.Version >= l.Version {
		n.mu.Unlock()
		return
	}
	n.layout = l
	for s := range n.slots {
		n.slots[s] = 0
	}
	for _, p := range l.Partitions {
		for _, r := range p.Slots {
			for s := int(r.First); s <= int(r.Last); s++ {
				n.slots[s] = p.ID
			}
		}
	}
	n.mu.Unlock()
	if stored := n.data.get().Layout; stored == nil || stored.Version < l.Version {
		err := n.data.update(func(r *nodeRecord) {
			if r.Layout == nil || r.Layout.Version < l.Version {
				r.Layout = l
			}
		})
		if err != nil {
			n.fatal(err)
			return
		}
	}
	n.announce()
	n.changed.fire()
	if f := n.cfg.RaftFaults; f != nil && f.KeepIdentity {
		n.wg.Go(func() { n.presumeReplicas(l) })
	}
}

func (n *Node) currentLayout() *layout {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.layout
}

// mustJSON encodes one of this package's control messages.
func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("cluster: encode %T: %v", v, err)) // it has only encodable fields
	}
	return b
}
