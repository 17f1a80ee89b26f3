package client

import (
	"context"

	"github.com/reprise-run/reprise/api/reprisev1"
)

// Cluster describes a cluster as one of its nodes sees it. It is no snapshot.
type Cluster struct {
	ID         string
	Self       string // the node that answered
	Layout     uint64
	Nodes      []Node
	Partitions []Partition
}

// Node is a member of the cluster.
type Node struct {
	Name           string
	State          string // alive, leaving or dead
	APIAddress     string
	PeerAddress    string
	GossipAddress  string
	Labels         map[string]string
	Orchestrations []string
	Activities     []string
	Running        int64 // activities that run there now
}

// Partition is one Raft group; number 0 is the system group, which has no slots.
type Partition struct {
	ID        uint32
	Slots     []SlotRange
	Leader    string // empty where none is known
	Preferred string
	Epoch     uint64
	Replicas  []Replica
}

// SlotRange is a run of slots, both ends included.
type SlotRange struct{ First, Last uint32 }

// Replica is a partition's copy on a node.
type Replica struct {
	Node      string
	ServerID  string
	Voter     bool
	Applied   uint64 // newest applied log index; 0 where the node did not answer
	Reachable bool
}

// Cluster asks a node for a description of the cluster.
func (c *Client) Cluster(ctx context.Context) (Cluster, error) {
	what := call{what: "describe the cluster", info: &Call{Operation: "cluster", TaskHub: c.config.hub}}
	m, err := ask(ctx, c, what, reprisev1.NewRepriseServiceClient, reprisev1.RepriseServiceClient.DescribeCluster, &reprisev1.DescribeClusterRequest{})
	if err != nil {
		return Cluster{}, err
	}
	d := Cluster{ID: m.GetClusterId(), Self: m.GetSelf(), Layout: m.GetLayout()}
	for _, n := range m.GetNodes() {
		d.Nodes = append(d.Nodes, Node{
			Name: n.GetName(), State: n.GetState(), APIAddress: n.GetApiAddress(), PeerAddress: n.GetPeerAddress(), GossipAddress: n.GetGossipAddress(),
			Labels: n.GetLabels(), Orchestrations: n.GetOrchestrations(), Activities: n.GetActivities(), Running: n.GetRunning(),
		})
	}
	for _, p := range m.GetPartitions() {
		part := Partition{ID: p.GetId(), Leader: p.GetLeader(), Preferred: p.GetPreferred(), Epoch: p.GetEpoch()}
		for _, s := range p.GetSlots() {
			part.Slots = append(part.Slots, SlotRange{s.GetFirst(), s.GetLast()})
		}
		for _, r := range p.GetReplicas() {
			part.Replicas = append(part.Replicas, Replica{Node: r.GetNode(), ServerID: r.GetServerId(), Voter: r.GetVoter(), Applied: r.GetApplied(), Reachable: r.GetReachable()})
		}
		d.Partitions = append(d.Partitions, part)
	}
	return d, nil
}
