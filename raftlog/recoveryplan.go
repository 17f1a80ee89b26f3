package raftlog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/internal/peer"
)

// Shown is what somebody who plans a recovery has seen of a node that does not run.
type Shown struct {
	Node     peer.NodeID
	Replicas []Replica
}

// Need says whether a group has to be recovered, and whether it can be.
type Need string

// The needs of a group.
const (
	// NeedNone: the group elects a leader by itself, once its nodes run.
	NeedNone Need = "none"
	// NeedRecovery: it has lost its majority for ever, and can be recovered.
	NeedRecovery Need = "recovery"
	// NeedMore: that cannot be said, or not be done, with what was shown.
	NeedMore Need = "more"
)

// Fate says what became of a server of a group.
type Fate string

// The fates of a server.
const (
	FateIntact Fate = "intact"
	// FateLost: somebody says that its node's disk is lost.
	FateLost Fate = "lost"
	// FateReplaced: its node has another replica now, or none, or a damaged one.
	FateReplaced Fate = "replaced"
	// FateUnknown: its node was neither shown nor called lost.
	FateUnknown Fate = "unknown"
)

// ServerFate is a server of a group and what became of it.
type ServerFate struct {
	Server
	Fate Fate
}

// GroupPlan says what can be done for a group.
type GroupPlan struct {
	Group GroupID
	Need  Need
	// Why explains the need in words, with what to do.
	Why string
	// From is the replica with the longest log of those shown. There may be none.
	// Servers are those of its configurations and of the others'.
	From    Replica
	Servers []ServerFate
	// Recovery is what NeedRecovery is met with, on the node of From.
	Recovery Recovery
}

// PlanRecovery says for each group that was shown what can be done for it, if the
// disks of the nodes in lost are lost for ever.
//
// The longest log, by last term and last index, is the one to go on from: of all
// that is left it holds the most, and whatever a majority had acknowledged and is
// held by any replica at all is in it. A group of which a majority is intact needs
// no recovery, and must not get one: its voters would lead on beside it. So a plan
// is made only where the fate of every server is known.
func PlanRecovery(shown []Shown, lost []peer.NodeID) []GroupPlan {
	var groups []GroupID
	for _, s := range shown {
		for _, r := range s.Replicas {
			groups = append(groups, r.Group)
		}
	}
	slices.Sort(groups)
	var plans []GroupPlan
	for _, g := range slices.Compact(groups) {
		plans = append(plans, planGroup(g, shown, lost))
	}
	return plans
}

func planGroup(g GroupID, shown []Shown, lost []peer.NodeID) GroupPlan {
	p := GroupPlan{Group: g, Need: NeedMore}
	var all, whole []Replica
	var damaged []string
	for _, s := range shown {
		for _, r := range s.Replicas {
			switch {
			case r.Group != g:
				continue
			case r.Damage != "":
				damaged = append(damaged, fmt.Sprintf("%s (%s)", r.Server.Node(), r.Damage))
			case !r.Blank():
				whole = append(whole, r)
			}
			all = append(all, r)
		}
	}
	lineage := newestLineage(whole)
	for _, r := range whole {
		if r.Server.Lineage() != lineage && r.Server.Lineage().Generation() == lineage.Generation() {
			p.Why = fmt.Sprintf("it was recovered twice, on %s and elsewhere: the replicas of lineages %s and %s have gone separate ways. Decide which one holds, and destroy the others", r.Server.Node(), r.Server.Lineage(), lineage)
			return p
		}
	}
	whole = slices.DeleteFunc(whole, func(r Replica) bool { return r.Server.Lineage() != lineage })
	if len(whole) == 0 {
		p.Why = "none of the nodes shown holds anything of it; show another one"
		if len(damaged) > 0 {
			p.Why = fmt.Sprintf("what is left of it is damaged and cannot be recovered: on %s. Show another node, or restore a backup", strings.Join(damaged, ", "))
		}
		return p
	}
	p.From = slices.MaxFunc(whole, compareLogs)
	p.decide(whole, shown, lost)
	if p.Need == NeedRecovery {
		p.Recovery = Recovery{Group: g, Lineage: newLineage(lineage.Generation() + 1)}
		for _, r := range all {
			p.Recovery.Term = max(p.Recovery.Term, r.Term+recoveryStep)
		}
	}
	return p
}

// compareLogs orders replicas by their logs; of equal ones the first by name is the
// greatest.
func compareLogs(a, b Replica) int {
	switch {
	case a.longer(b):
		return 1
	case b.longer(a):
		return -1
	}
	return cmp.Compare(b.Server.Node(), a.Server.Node())
}

// newestLineage returns the lineage of the highest generation.
func newestLineage(replicas []Replica) (newest Lineage) {
	for _, r := range replicas {
		if l := r.Server.Lineage(); l.Generation() > newest.Generation() {
			newest = l
		}
	}
	return newest
}

// decide says whether the group elects a leader by itself, and if not, whether
// enough is known to recover it.
func (p *GroupPlan) decide(whole []Replica, shown []Shown, lost []peer.NodeID) {
	p.Servers = fatesOf(p.From, whole, shown, lost)
	fates := make(map[ServerID]Fate)
	var contradicted, unseen []string
	for _, s := range p.Servers {
		fates[s.ID] = s.Fate
		switch {
		case s.Fate == FateUnknown:
			unseen = append(unseen, string(s.ID.Node()))
		case s.Fate == FateIntact && slices.Contains(lost, s.ID.Node()):
			contradicted = append(contradicted, string(s.ID.Node()))
		}
	}
	names := strings.Join(unseen, ", ")
	voters, left := countVoters(p.From, fates)
	switch {
	case len(contradicted) > 0:
		p.Why = fmt.Sprintf("%s is called lost, and is shown with an intact replica", strings.Join(contradicted, ", "))
	case voters == 0:
		p.Why = fmt.Sprintf("the log of %s ends before the group's first configuration; show another node", p.From.Server.Node())
	case slices.ContainsFunc(whole, func(r Replica) bool { return electable(r, whole) }):
		p.Need, p.Why = NeedNone, "a majority of its voters is intact: start those nodes"
		if voters == 1 {
			p.Why = "its only voter is intact: start that node"
		}
	case len(unseen) > 0 && slices.ContainsFunc(whole, func(r Replica) bool {
		voters, left := countVoters(r, fates)
		return left > voters/2
	}):
		p.Need, p.Why = NeedNone, fmt.Sprintf("it may have a majority with %s: start those that have their disks, and call lost only those whose disks are lost for ever", names)
	case len(unseen) > 0:
		p.Why = fmt.Sprintf("it has lost its majority, and nothing is known of %s, whose log may be the longest: show it, or call it lost", names)
	case left > voters/2:
		p.Need, p.Why = NeedRecovery, fmt.Sprintf("a majority of its voters is intact, but they know different voters, and none can be elected; %s has the longest log", p.From.Server.Node())
	default:
		p.Need, p.Why = NeedRecovery, fmt.Sprintf("%d of its %d voters are lost for ever; %s has the longest log of those that are left", voters-left, voters, p.From.Server.Node())
	}
}

// fatesOf says what became of all servers that any of the replicas knows of, in its
// newest configuration or in the one before, because the newest may not have been
// committed: a server that it removed may hold what the majority before it had
// acknowledged.
func fatesOf(from Replica, whole []Replica, shown []Shown, lost []peer.NodeID) (fates []ServerFate) {
	known := slices.Concat(from.Servers, from.Before)
	for _, r := range whole {
		known = slices.Concat(known, r.Servers, r.Before)
	}
	for _, server := range known {
		if slices.ContainsFunc(fates, func(s ServerFate) bool { return s.ID == server.ID }) {
			continue
		}
		s := ServerFate{server, FateUnknown}
		node := server.ID.Node()
		switch {
		case slices.ContainsFunc(whole, func(r Replica) bool { return r.Server == server.ID }):
			s.Fate = FateIntact
		case slices.Contains(lost, node):
			s.Fate = FateLost
		case slices.ContainsFunc(shown, func(n Shown) bool { return n.Node == node }):
			s.Fate = FateReplaced
		}
		fates = append(fates, s)
	}
	return fates
}

// countVoters returns how many voters a replica knows, and how many of them are
// left, as far as that is known.
func countVoters(r Replica, fates map[ServerID]Fate) (voters, left int) {
	for _, s := range r.Servers {
		if !s.Voter {
			continue
		}
		voters++
		if fate := fates[s.ID]; fate == FateIntact || fate == FateUnknown {
			left++
		}
	}
	return voters, left
}

// electable reports whether a replica gets the votes of a majority of its voters
// from those that were shown. Raft grants a vote to a server that the voter's newest
// configuration has, committed or not, and whose log is not shorter.
func electable(candidate Replica, whole []Replica) bool {
	knows := func(r Replica, id ServerID) bool {
		return slices.ContainsFunc(r.Servers, func(s Server) bool { return s.ID == id })
	}
	voters, votes, stands := 0, 0, false
	for _, s := range candidate.Servers {
		if !s.Voter {
			continue
		}
		voters++
		stands = stands || s.ID == candidate.Server
		if slices.ContainsFunc(whole, func(r Replica) bool {
			return r.Server == s.ID && !r.longer(candidate) && (len(r.Servers) == 0 || knows(r, candidate.Server))
		}) {
			votes++
		}
	}
	return stands && votes > voters/2
}
