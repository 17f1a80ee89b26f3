package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

const methodInfo = peer.Method("cluster/info")

// nodeInfo is what a process of a node tells of itself.
type nodeInfo struct {
	Incarnation    uint64
	Labels         map[string]string `json:",omitempty"`
	Orchestrations []string
	Activities     []string
	Versions       []string `json:",omitempty"`
	Entities       []string `json:",omitempty"`
	Program        string   `json:",omitempty"`
	// Capacity is how many activities the node runs at a time.
	Capacity int
	Running  int
	Clock    clockState
	Replicas []replicaInfo
}

type replicaInfo struct {
	Group   uint32
	Server  raftlog.ServerID
	Leads   bool
	Term    uint64
	Epoch   uint64
	Applied uint64
	Servers []raftlog.Server
}

// describeSelf returns what this node tells of itself.
func (n *Node) describeSelf() nodeInfo {
	info := nodeInfo{
		Incarnation: n.incarnation, Labels: n.cfg.Labels,
		Orchestrations: n.code.Orchestrations(), Activities: n.code.Activities(), Versions: n.code.Versions(), Entities: n.code.Entities(), Program: n.program(),
		Capacity: n.cfg.Activities, Running: n.worker.load(), Clock: n.clocks.state(),
	}
	n.mu.Lock()
	groups := make(map[uint32]replica, len(n.replicas))
	for g, r := range n.replicas {
		groups[g] = *r
	}
	n.mu.Unlock()
	for g, r := range groups {
		s := r.group.Stats()
		info.Replicas = append(info.Replicas, replicaInfo{
			Group: g, Server: s.Server, Leads: r.leads, Term: s.Term, Epoch: s.Epoch, Applied: s.Applied, Servers: s.Servers,
		})
	}
	slices.SortFunc(info.Replicas, func(a, b replicaInfo) int { return int(a.Group) - int(b.Group) })
	return info
}

func (n *Node) handleInfo(context.Context, peer.NodeID, []byte) ([]byte, error) {
	return mustJSON(n.describeSelf()), nil
}

func (n *Node) askInfo(ctx context.Context, to peer.NodeID) (nodeInfo, error) {
	if to == n.self {
		return n.describeSelf(), nil
	}
	answer, err := n.rpc.call(ctx, to, methodInfo, nil)
	if err != nil {
		return nodeInfo{}, err
	}
	var info nodeInfo
	if err := json.Unmarshal(answer, &info); err != nil {
		return nodeInfo{}, fmt.Errorf("decode what %s tells of itself: %w", to, err)
	}
	return info, nil
}
