package cluster

import (
	"context"

	"github.com/reprise-run/reprise/history"
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
	Name           string
	State          NodeState
	APIAddr        string
	PeerAddr       string
	GossipAddr     string
	Labels         map[string]string
	Orchestrations []string
	Activities     []string
	// Running is how many activities run on the node now.
	Running int
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

// Describe describes the cluster.
func (n *Node) Describe(ctx context.Context) (Description, error) { panic("not written") }
