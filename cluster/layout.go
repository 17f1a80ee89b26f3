package cluster

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
)

// systemGroup is the Raft group that holds the layout. Partitions count from 1.
const systemGroup = 0

// formatLevel is the newest level of stored forms that this program knows.
const formatLevel = 1

// layout is what the cluster shall be. A value is never changed once others can
// see it.
type layout struct {
	Cluster string
	Version uint64
	// FormatLevel is what leaders may write; nodes that know less refuse to serve.
	FormatLevel int
	Nodes       []layoutNode // by name
	// Recovered counts the recoveries of the system group that the layout went
	// through.
	Recovered uint64 `json:",omitempty"`
	// System is where the replicas of the system group shall be.
	System     placement
	Partitions []layoutPartition // by ID
}

type layoutNode struct {
	Name       peer.NodeID
	PeerAddr   string
	APIAddr    string
	GossipAddr string
}

type layoutPartition struct {
	ID    uint32
	Slots []SlotRange
	placement
}

// placement is where the replicas of a group shall be.
type placement struct {
	Replicas  []peer.NodeID // by name
	Preferred peer.NodeID   // who shall lead
}

// foundLayout returns the first layout of a cluster.
func foundLayout(cluster string, nodes []layoutNode, partitions int) *layout {
	l := &layout{Cluster: cluster, Version: 1, FormatLevel: formatLevel}
	for i := range partitions {
		first := history.Slot(i * history.Slots / partitions)
		last := history.Slot((i+1)*history.Slots/partitions - 1)
		l.Partitions = append(l.Partitions, layoutPartition{ID: uint32(i + 1), Slots: []SlotRange{{first, last}}})
	}
	l.setNodes(nodes)
	return l
}

// withNode returns the layout that has the node, too, or with other addresses;
// l itself if that changes nothing.
func (l *layout) withNode(n layoutNode) *layout {
	if i := slices.IndexFunc(l.Nodes, func(x layoutNode) bool { return x.Name == n.Name }); i >= 0 && l.Nodes[i] == n {
		return l
	}
	next := *l
	next.Version++
	nodes := slices.DeleteFunc(slices.Clone(l.Nodes), func(x layoutNode) bool { return x.Name == n.Name })
	next.setNodes(append(nodes, n))
	return &next
}

// recovered returns the layout with which a system group goes on that was recovered
// more often than its layout knows, and l itself for any other: the newer one of l
// and of what the leader's node knows, with a version above all that were lost.
func (l *layout) recovered(known *layout, generation uint64) *layout {
	if generation <= l.Recovered {
		return l
	}
	next := *l
	if known != nil && known.Cluster == l.Cluster && known.Version > l.Version {
		next = *known
	}
	next.Version += recoveredVersions
	next.Recovered = generation
	return &next
}

func (l *layout) setNodes(nodes []layoutNode) {
	l.Nodes = slices.SortedFunc(slices.Values(nodes), func(a, b layoutNode) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	names := l.names()
	l.System = place(names, []placement{l.System})[0]
	placed := make([]placement, len(l.Partitions))
	for i, p := range l.Partitions {
		placed[i] = p.placement
	}
	l.Partitions = slices.Clone(l.Partitions)
	for i, p := range place(names, placed) {
		l.Partitions[i].placement = p
	}
}

// names returns the names of all nodes, in order.
func (l *layout) names() []peer.NodeID {
	names := make([]peer.NodeID, len(l.Nodes))
	for i, n := range l.Nodes {
		names[i] = n.Name
	}
	return names
}

func (l *layout) node(name peer.NodeID) (layoutNode, bool) {
	for _, n := range l.Nodes {
		if n.Name == name {
			return n, true
		}
	}
	return layoutNode{}, false
}

// group returns where the replicas of a group shall be.
func (l *layout) group(id uint32) (placement, bool) {
	if id == systemGroup {
		return l.System, true
	}
	for _, p := range l.Partitions {
		if p.ID == id {
			return p.placement, true
		}
	}
	return placement{}, false
}

// groups returns the IDs of all groups, the system group first.
func (l *layout) groups() []uint32 {
	ids := []uint32{systemGroup}
	for _, p := range l.Partitions {
		ids = append(ids, p.ID)
	}
	return ids
}

// partitionOf returns the partition that owns a slot by this layout.
func (l *layout) partitionOf(s history.Slot) uint32 {
	for _, p := range l.Partitions {
		for _, r := range p.Slots {
			if s >= r.First && s <= r.Last {
				return p.ID
			}
		}
	}
	panic(fmt.Sprintf("cluster: layout %d leaves slot %d to nobody", l.Version, s))
}

// layoutVersion begins the stored and sent form of a layout. JSON follows: the
// record is small, seldom written, and people read it.
const layoutVersion = 1

func (l *layout) encode() []byte {
	b, err := json.Marshal(l)
	if err != nil {
		panic(fmt.Sprintf("cluster: encode layout: %v", err)) // it has only encodable fields
	}
	return append([]byte{layoutVersion}, b...)
}

func decodeLayout(b []byte) (*layout, error) {
	if len(b) == 0 || b[0] != layoutVersion {
		return nil, fmt.Errorf("decode layout: %w", ErrNewerFormat)
	}
	l := new(layout)
	if err := json.Unmarshal(b[1:], l); err != nil {
		return nil, fmt.Errorf("decode layout: %w", err)
	}
	if l.FormatLevel > formatLevel {
		return nil, fmt.Errorf("cluster has format level %d, this program knows up to %d: %w", l.FormatLevel, formatLevel, ErrNewerFormat)
	}
	if err := l.check(); err != nil {
		return nil, fmt.Errorf("decode layout %d: %w", l.Version, err)
	}
	return l, nil
}

// check says what is wrong with a layout: every slot belongs to exactly one
// partition, and every group has replicas on nodes that there are.
func (l *layout) check() error {
	var owners [history.Slots]uint32
	for _, p := range l.Partitions {
		if p.ID == systemGroup {
			return fmt.Errorf("a partition has the ID of the system group")
		}
		for _, r := range p.Slots {
			if r.First > r.Last || r.Last >= history.Slots {
				return fmt.Errorf("partition %d has the slots %d to %d", p.ID, r.First, r.Last)
			}
			for s := int(r.First); s <= int(r.Last); s++ {
				if owners[s] != 0 {
					return fmt.Errorf("slot %d belongs to partitions %d and %d", s, owners[s], p.ID)
				}
				owners[s] = p.ID
			}
		}
	}
	for s, owner := range owners {
		if owner == 0 {
			return fmt.Errorf("slot %d belongs to no partition", s)
		}
	}
	for _, id := range l.groups() {
		g, _ := l.group(id)
		if len(g.Replicas) == 0 || !slices.Contains(g.Replicas, g.Preferred) {
			return fmt.Errorf("group %d has replicas on %v and prefers %q", id, g.Replicas, g.Preferred)
		}
		for _, name := range g.Replicas {
			if _, ok := l.node(name); !ok {
				return fmt.Errorf("group %d has a replica on %q, which is no node", id, name)
			}
		}
	}
	return nil
}
