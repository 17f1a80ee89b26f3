package client

import (
	"context"
	"time"

	"github.com/reprise-run/reprise/api/reprisev1"
)

// Cluster describes a cluster as one of its nodes sees it. It is no snapshot. As JSON it
// is what "reprise cluster -o json" prints.
type Cluster struct {
	ID         string      `json:"clusterId"`
	Self       string      `json:"answeredBy"` // the node that answered
	Layout     uint64      `json:"layout"`
	Nodes      []Node      `json:"nodes"`
	Partitions []Partition `json:"partitions"`
}

// Node is a member of the cluster.
type Node struct {
	Name           string            `json:"name"`
	State          string            `json:"state"` // alive, leaving or dead
	APIAddress     string            `json:"apiAddress"`
	PeerAddress    string            `json:"peerAddress"`
	GossipAddress  string            `json:"gossipAddress"`
	Labels         map[string]string `json:"labels,omitempty"`
	Orchestrations []string          `json:"orchestrations"`
	Activities     []string          `json:"activities"`
	Entities       []string          `json:"entities"` // empty also where the node that was asked does not tell it yet
	Running        int64             `json:"running"`  // activities that run there now
	// ClockAhead is how far the node's wall clock is ahead of the median of all; negative
	// where it is behind, 0 where that is not known. ClockWrong is set where that is more
	// than a second: the node leads no partition that another one can lead.
	ClockAhead time.Duration `json:"clockAheadNanos"`
	ClockWrong bool          `json:"clockWrong"`
}

// Partition is one Raft group; number 0 is the system group, which has no slots.
type Partition struct {
	ID        uint32      `json:"id"`
	Slots     []SlotRange `json:"slots"`
	Leader    string      `json:"leader"` // empty where none is known
	Preferred string      `json:"preferred"`
	Epoch     uint64      `json:"epoch"`
	Replicas  []Replica   `json:"replicas"`
}

// SlotRange is a run of slots, both ends included.
type SlotRange struct {
	First uint32 `json:"first"`
	Last  uint32 `json:"last"`
}

// Replica is a partition's copy on a node.
type Replica struct {
	Node      string `json:"node"`
	ServerID  string `json:"serverId"`
	Voter     bool   `json:"voter"`
	Applied   uint64 `json:"appliedIndex"` // newest applied log index; 0 where the node did not answer
	Reachable bool   `json:"reachable"`
}

// Cluster asks a node for a description of the cluster.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	what := call{what: "describe the cluster", info: &Call{Operation: "cluster", TaskHub: c.config.hub}}
	m, err := ask(ctx, c, what, reprisev1.NewRepriseServiceClient, reprisev1.RepriseServiceClient.DescribeCluster, &reprisev1.DescribeClusterRequest{})
	if err != nil {
		return Cluster{}, err
	}
	d := Cluster{ID: m.GetClusterId(), Self: m.GetSelf(), Layout: m.GetLayout(), Nodes: []Node{}, Partitions: []Partition{}}
	for _, n := range m.GetNodes() {
		d.Nodes = append(d.Nodes, Node{
			Name: n.GetName(), State: n.GetState(), APIAddress: n.GetApiAddress(), PeerAddress: n.GetPeerAddress(), GossipAddress: n.GetGossipAddress(),
			Labels: n.GetLabels(), Orchestrations: n.GetOrchestrations(), Activities: n.GetActivities(), Entities: n.GetEntities(), Running: n.GetRunning(),
			ClockAhead: n.GetClockAhead().AsDuration(), ClockWrong: n.GetClockWrong(),
		})
	}
	for _, p := range m.GetPartitions() {
		part := Partition{ID: p.GetId(), Slots: []SlotRange{}, Leader: p.GetLeader(), Preferred: p.GetPreferred(), Epoch: p.GetEpoch(), Replicas: []Replica{}}
		for _, s := range p.GetSlots() {
			part.Slots = append(part.Slots, SlotRange{First: s.GetFirst(), Last: s.GetLast()})
		}
		for _, r := range p.GetReplicas() {
			part.Replicas = append(part.Replicas, Replica{Node: r.GetNode(), ServerID: r.GetServerId(), Voter: r.GetVoter(), Applied: r.GetApplied(), Reachable: r.GetReachable()})
		}
		d.Partitions = append(d.Partitions, part)
	}
	return d, nil
}
