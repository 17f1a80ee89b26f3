package cluster

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// The patience with groups that have no leader.
const (
	leaderlessPatience = 10 * time.Second // an election takes a second or two
	leaderlessReminder = time.Minute
)

// leaderless is what tend knows of groups without a leader. Only tend uses it.
type leaderless struct {
	since map[uint32]time.Time // since when this node's replica knows none
	said  time.Time
}

// watchLeaders says from time to time which groups of this node have no leader, and
// what a person can do.
func (n *Node) watchLeaders() {
	w, now := &n.leaderless, time.Now()
	if w.since == nil {
		w.since = make(map[uint32]time.Time)
	}
	var silent []*raftlog.Group
	for g, group := range n.groups() {
		leader, _ := group.Leader()
		if leader != "" || len(group.Configuration()) == 0 { // blank, or stopped
			delete(w.since, g)
			continue
		}
		since, ok := w.since[g]
		if !ok {
			w.since[g] = now
		} else if now.Sub(since) >= leaderlessPatience {
			silent = append(silent, group)
		}
	}
	if len(silent) == 0 || now.Sub(w.said) < leaderlessReminder {
		return
	}
	w.said = now
	n.wg.Go(func() { n.sayLeaderless(silent) })
}

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

// presence is whether a voter is there, as far as this node can tell.
type presence string

const (
	voterThere  presence = ""
	voterSilent presence = "does not answer"
	voterGone   presence = "runs without its replica: the disk was lost or wiped"
)

// sayLeaderless says why groups have no leader, once for those of which the same is
// true.
func (n *Node) sayLeaderless(groups []*raftlog.Group) {
	ctx, cancel := context.WithTimeout(n.ctx, describePatience)
	defer cancel()
	infos := make(map[peer.NodeID]*nodeInfo)
	type cause struct {
		missing string
		lost    bool // a majority of the voters is not there
	}
	told := make(map[cause][]uint32)
	slices.SortFunc(groups, func(a, b *raftlog.Group) int { return int(a.ID()) - int(b.ID()) })
	for _, group := range groups {
		var missing []string
		voters := 0
		for _, s := range group.Configuration() {
			if !s.Voter {
				continue
			}
			voters++
			if p := n.presenceOf(ctx, group.ID(), s.ID, infos); p != voterThere {
				missing = append(missing, string(s.ID.Node())+" "+string(p))
			}
		}
		if leader, _ := group.Leader(); leader != "" || voters == 0 || ctx.Err() != nil {
			continue // it has one by now, or this node stops
		}
		why := cause{strings.Join(missing, ", "), voters-len(missing) <= voters/2}
		told[why] = append(told[why], uint32(group.ID()))
	}
	for why, ids := range told {
		if !why.lost {
			n.log.Error("groups have no leader, though a majority of their voters answers; see whether all nodes reach each other, and their logs",
				"groups", groupNames(ids), "missing", why.missing)
			continue
		}
		n.log.Error(`GROUPS HAVE NO LEADER and serve nothing: a majority of their voters is not there. Start the nodes that are missing, with their disks. If disks are lost for ever, the groups stay down until you recover them: see "reprise recover --help"`,
			"groups", groupNames(ids), "missing", why.missing)
	}
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
