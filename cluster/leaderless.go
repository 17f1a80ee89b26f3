package cluster

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// groups returns the replicas that run here.
func (n *Node) groups() map[uint32]*raftlog.Group {
	n.mu.Lock()
	defer n.mu.Unlock()
	groups := make(map[uint32]*raftlog.Group, len(n.replicas))
	for g, r := range n.replicas {
		groups[g] = r.group
	}
	return groups
}

// leaderlessGroups returns those that know no leader, in order.
func (n *Node) leaderlessGroups() []*raftlog.Group {
	groups := n.groups()
	var silent []*raftlog.Group
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		// Without a configuration it is blank, or stopped.
		if leader, _ := groups[g].Leader(); leader == "" && len(groups[g].Configuration()) > 0 {
			silent = append(silent, groups[g])
		}
	}
	return silent
}

// presence is whether a voter is there, as far as this node can tell.
type presence string

const (
	voterThere  presence = ""
	voterSilent presence = "does not answer"
	voterGone   presence = "runs without its replica: the disk was lost or wiped"
)

// whyLeaderless says why groups have no leader; nothing where they have one by now.
// Those that have lost a majority of their voters go first: for them a person must do
// something.
func (n *Node) whyLeaderless(ctx context.Context, groups []*raftlog.Group) waiting {
	ctx, cancel := context.WithTimeout(ctx, describePatience)
	defer cancel()
	infos := make(map[peer.NodeID]*nodeInfo)
	var down, slow []uint32
	missing := make(map[string]bool)
	for _, group := range groups {
		voters, absent := 0, 0
		for _, s := range group.Configuration() {
			if !s.Voter {
				continue
			}
			voters++
			if p := n.presenceOf(ctx, group.ID(), s.ID, infos); p != voterThere {
				absent++
				missing[string(s.ID.Node())+" "+string(p)] = true
			}
		}
		switch leader, _ := group.Leader(); {
		case leader != "" || voters == 0:
		case voters-absent <= voters/2:
			down = append(down, uint32(group.ID()))
		default:
			slow = append(slow, uint32(group.ID()))
		}
	}
	absent := strings.Join(slices.Sorted(maps.Keys(missing)), ", ")
	switch {
	case len(down) > 0:
		return waiting{
			message: `GROUPS HAVE NO LEADER and serve nothing: a majority of their voters is not there. Start the nodes that are missing, with their disks. If disks are lost for ever, the groups stay down until you recover them: see "reprise recover --help"`,
			details: []any{"where", groupNames(down), "missing", absent},
			severe:  true,
		}
	case len(slow) > 0:
		return waiting{
			message: "groups have no leader, though a majority of their voters answers; see whether all nodes reach each other, and their logs",
			details: []any{"where", groupNames(slow), "missing", absent},
		}
	}
	return waiting{}
}

// presenceOf asks a voter's node for it, each node once.
func (n *Node) presenceOf(ctx context.Context, g raftlog.GroupID, id raftlog.ServerID, infos map[peer.NodeID]*nodeInfo) presence {
	name := id.Node()
	info, asked := infos[name]
	if !asked {
		if _, alive := n.member(name); alive || name == n.self {
			if i, err := n.askInfo(ctx, name); err == nil {
				info = &i
			}
		}
		infos[name] = info
	}
	switch {
	case info == nil:
		return voterSilent
	case slices.ContainsFunc(info.Replicas, func(r replicaInfo) bool { return r.Group == uint32(g) && r.Server == id }):
		return voterThere
	}
	return voterGone
}
