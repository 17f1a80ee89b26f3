package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// Description is what people and clients want to know of a cluster. It is put
// together from what several nodes say and is no snapshot.
type Description struct {
	ClusterID string
	// Layout is the version of the layout.
	Layout uint64
	// Self is the node that answered.
	Self       string
	Nodes      []NodeDescription
	Partitions []PartitionDescription
}

// NodeState says how a node is.
type NodeState string

// The states of a node.
const (
	NodeAlive   NodeState = "alive"
	NodeLeaving NodeState = "leaving"
	NodeDead    NodeState = "dead" // in the layout, but not seen by membership
)

// NodeDescription describes a node.
type NodeDescription struct {
	Name       string
	State      NodeState
	APIAddr    string
	PeerAddr   string
	GossipAddr string
	Labels     map[string]string
	// Orchestrations are names, and versions of them as "name@version".
	Orchestrations []string
	Activities     []string
	Entities       []string
	// Running is how many activities run on the node now.
	Running int
	// ClockAhead is how far the node's wall clock is ahead of the median of all, as
	// the node found itself; 0 where that is not known.
	ClockAhead time.Duration
	// ClockWrong is set where that is more than a second: the node leads no
	// partition that another one can lead.
	ClockWrong bool
}

// PartitionDescription describes a partition, or the system group (ID 0, no
// slots).
type PartitionDescription struct {
	ID    uint32
	Slots []SlotRange
	// Leader is empty where none is known.
	Leader    string
	Preferred string
	Epoch     uint64
	Replicas  []ReplicaDescription
}

// ReplicaDescription describes a replica of a partition.
type ReplicaDescription struct {
	Node string
	// ServerID is the replica's Raft identity.
	ServerID string
	// Voter is false while the replica catches up.
	Voter bool
	// Applied is the newest applied log index; 0 where the node did not answer.
	Applied uint64
	// Reachable is false where the node did not answer.
	Reachable bool
}

// SlotRange is the slots First to Last, both included.
type SlotRange struct{ First, Last history.Slot }

// describePatience is how long Describe waits for another node.
const describePatience = time.Second

// Describe describes the cluster. It fails only while this node knows no layout.
func (n *Node) Describe(ctx context.Context) (Description, error) {
	l := n.currentLayout()
	if l == nil {
		return Description{}, fmt.Errorf("%w: %w", ErrUnavailable, errNotReady)
	}
	members := n.members.Members()
	infos := make([]*nodeInfo, len(members))
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			if info, err := n.askInfo(ctx, m.Name); err == nil {
				infos[i] = &info
			}
		})
	}
	wg.Wait()
	d := Description{ClusterID: l.Cluster, Layout: l.Version, Self: string(n.self)}
	told := make(map[peer.NodeID]*nodeInfo)
	for i, m := range members {
		told[m.Name] = infos[i]
	}
	for _, node := range l.Nodes {
		d.Nodes = append(d.Nodes, n.describeNode(node, members, told[node.Name]))
	}
	for _, g := range l.groups() {
		d.Partitions = append(d.Partitions, describePartition(l, g, told))
	}
	return d, nil
}

func (n *Node) describeNode(node layoutNode, members []Member, info *nodeInfo) NodeDescription {
	d := NodeDescription{
		Name: string(node.Name), State: NodeDead,
		APIAddr: node.APIAddr, PeerAddr: node.PeerAddr, GossipAddr: node.GossipAddr,
	}
	for _, m := range members {
		if m.Name != node.Name {
			continue
		}
		d.State, d.APIAddr, d.PeerAddr, d.GossipAddr = NodeAlive, m.APIAddr, m.PeerAddr, m.GossipAddr
		if m.Leaving {
			d.State = NodeLeaving
		}
	}
	if info != nil {
		d.Labels, d.Orchestrations, d.Activities, d.Running = info.Labels, slices.Concat(info.Orchestrations, info.Versions), info.Activities, info.Running
		d.Entities = info.Entities
		d.ClockAhead, d.ClockWrong = info.Clock.Ahead, info.Clock.Wrong
	}
	return d
}

// describePartition puts together what the replicas of a group say. Of two that
// say that they lead, the one of the newer term does.
func describePartition(l *layout, g uint32, told map[peer.NodeID]*nodeInfo) PartitionDescription {
	p, _ := l.group(g)
	d := PartitionDescription{ID: g, Preferred: string(p.Preferred)}
	for _, x := range l.Partitions {
		if x.ID == g {
			d.Slots = x.Slots
		}
	}
	var leading, newest *replicaInfo
	found := make(map[raftlog.ServerID]replicaInfo)
	for node, info := range told {
		if info == nil {
			continue
		}
		i := slices.IndexFunc(info.Replicas, func(r replicaInfo) bool { return r.Group == g })
		if i < 0 {
			continue
		}
		r := &info.Replicas[i]
		found[r.Server] = *r
		if r.Leads && (leading == nil || r.Term > leading.Term) {
			leading, d.Leader, d.Epoch = r, string(node), r.Epoch
		}
		if newest == nil || r.Applied > newest.Applied {
			newest = r
		}
	}
	if leading != nil {
		newest = leading
	}
	if newest == nil {
		return d
	}
	for _, s := range newest.Servers {
		r, ok := found[s.ID]
		d.Replicas = append(d.Replicas, ReplicaDescription{
			Node: string(s.ID.Node()), ServerID: string(s.ID), Voter: s.Voter, Applied: r.Applied, Reachable: ok,
		})
	}
	slices.SortFunc(d.Replicas, func(a, b ReplicaDescription) int { return strings.Compare(a.Node, b.Node) })
	return d
}
