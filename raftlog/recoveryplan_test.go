package raftlog

import (
	"fmt"
	"strings"
	"testing"
)

// aReplica is a replica of group 1 on a node, in a configuration of voters; those
// in lower-case have a vote, others not. "b" stands for the identity "b@b" and "b2"
// for another one of node b.
func aReplica(server string, term, last uint64, servers string) Replica {
	r := Replica{Group: 1, Server: planServer(server), Term: term, LastTerm: term, LastIndex: last}
	for _, s := range strings.Fields(servers) {
		r.Servers = append(r.Servers, Server{ID: planServer(strings.ToLower(s)), Voter: s == strings.ToLower(s)})
	}
	return r
}

// before gives a replica the configuration before its newest.
func before(r Replica, servers string) Replica {
	r.Before = aReplica("a", 0, 0, servers).Servers
	return r
}

// planServer makes an identity: a node's letter, a number and perhaps a lineage.
func planServer(s string) ServerID {
	return ServerID(s + "@" + s[:1])
}

func TestPlanRecovery(t *testing.T) {
	damaged := aReplica("a", 3, 10, "a b c")
	damaged.Damage = "log ends at 10, it reached 12"
	lateTerm := aReplica("d", 4, 8, "a b c d")
	for _, c := range []struct {
		name  string
		shown []Replica
		blank string // nodes that are shown and hold nothing
		lost  string
		need  Need
		from  string
		why   string
	}{
		{name: "two of three lost", shown: []Replica{aReplica("a", 3, 10, "a b c")}, lost: "b c", need: NeedRecovery, from: "a", why: "2 of its 3 voters are lost for ever"},
		{name: "nothing is said of one", shown: []Replica{aReplica("a", 3, 10, "a b c")}, lost: "b", need: NeedNone, from: "a", why: "it may have a majority with c:"},
		{name: "nothing is said of any", shown: []Replica{aReplica("a", 3, 10, "a b c")}, need: NeedNone, from: "a", why: "with b, c:"},
		{name: "a majority is shown", shown: []Replica{aReplica("a", 3, 10, "a b c"), aReplica("c", 3, 12, "a b c")}, lost: "b", need: NeedNone, from: "c", why: "a majority of its voters is intact"},
		{name: "the others came back blank", shown: []Replica{aReplica("a", 3, 10, "a b c")}, blank: "b c", need: NeedRecovery, from: "a"},
		{name: "the others came back as new replicas", shown: []Replica{aReplica("a", 3, 10, "a b c"), aReplica("b2", 0, 0, ""), aReplica("c2", 0, 0, "")}, need: NeedRecovery, from: "a"},
		{name: "lost and shown", shown: []Replica{aReplica("a", 3, 10, "a b c")}, lost: "a b c", need: NeedMore, from: "a", why: "a is called lost, and is shown"},
		{name: "one voter, intact", shown: []Replica{aReplica("a", 3, 10, "a")}, need: NeedNone, from: "a", why: "its only voter is intact"},
		{name: "one voter, lost, and a replica without a vote", shown: []Replica{aReplica("b", 3, 10, "a B")}, lost: "a", need: NeedRecovery, from: "b"},
		{name: "the longer log by index", shown: []Replica{aReplica("a", 3, 10, "a b c d"), aReplica("d", 3, 11, "a b c d")}, lost: "b c", need: NeedRecovery, from: "d"},
		{name: "the longer log by term", shown: []Replica{aReplica("a", 3, 10, "a b c d"), lateTerm}, lost: "b c", need: NeedRecovery, from: "d"},
		{name: "the longer log has no vote", shown: []Replica{aReplica("a", 3, 10, "a b c D"), aReplica("d", 3, 11, "a b c D")}, lost: "b c", need: NeedRecovery, from: "d"},
		{name: "one that may have the longest log", shown: []Replica{aReplica("a", 3, 10, "a b c D")}, lost: "b c", need: NeedMore, from: "a", why: "nothing is known of d"},
		{name: "equal logs", shown: []Replica{aReplica("d", 3, 10, "a b c d"), aReplica("a", 3, 10, "a b c d")}, lost: "b c", need: NeedRecovery, from: "a"},
		{name: "damaged", shown: []Replica{damaged}, lost: "b c", need: NeedMore, why: "damaged and cannot be recovered: on a (log ends at 10"},
		{name: "a damaged one does not vote", shown: []Replica{damaged, aReplica("b", 3, 12, "a b c")}, lost: "c", need: NeedRecovery, from: "b"},
		{name: "blank", shown: []Replica{aReplica("a2", 0, 0, "")}, lost: "b c", need: NeedMore, why: "none of the nodes shown holds anything"},
		{name: "recovered already", shown: []Replica{aReplica("a.1-00000001", 9, 12, "a.1-00000001"), aReplica("b", 3, 11, "a b c")}, lost: "c", need: NeedNone, from: "a.1-00000001", why: "its only voter is intact"},
		{name: "recovered twice", shown: []Replica{aReplica("a.1-00000001", 9, 12, "a.1-00000001"), aReplica("b.1-00000002", 9, 13, "b.1-00000002")}, lost: "c", need: NeedMore, why: "recovered twice"},
		{name: "a longer log of before a recovery", shown: []Replica{aReplica("a.1-00000001", 3, 12, "a.1-00000001 b c"), aReplica("d", 30, 99, "a b c")}, lost: "b c", need: NeedRecovery, from: "a.1-00000001"},
		// A leader removes a server that came back without its disk, at once, and loses
		// the other one before that is committed.
		{name: "an uncommitted removal", shown: []Replica{before(aReplica("a", 3, 10, "a c"), "a b c")}, lost: "b c", need: NeedRecovery, from: "a", why: "1 of its 2 voters"},
		{name: "an uncommitted removal of one that nothing is said of", shown: []Replica{before(aReplica("a", 3, 10, "a c"), "a b c")}, lost: "c", need: NeedMore, from: "a", why: "nothing is known of b"},
		{name: "an uncommitted removal of one that has more", shown: []Replica{before(aReplica("a", 3, 10, "a c"), "a b c"), aReplica("b", 4, 9, "a b c")}, lost: "c", need: NeedRecovery, from: "b", why: "know different voters"},
		{name: "an uncommitted removal of one that has less", shown: []Replica{before(aReplica("a", 3, 10, "a c"), "a b c"), aReplica("b", 3, 9, "a b c")}, lost: "c", need: NeedRecovery, from: "a", why: "1 of its 2 voters"},
		{name: "an addition that one has not heard of", shown: []Replica{before(aReplica("a", 3, 10, "a b c d"), "a b c"), aReplica("b", 3, 9, "a b c")}, lost: "c", need: NeedNone, from: "a", why: "with d:"},
		{name: "a voter of whom only another log knows", shown: []Replica{aReplica("a", 4, 10, "a b"), aReplica("d", 3, 9, "b c D")}, lost: "b", need: NeedMore, from: "a", why: "nothing is known of c"},
		{name: "no configuration", shown: []Replica{aReplica("a", 3, 10, "")}, lost: "b c", need: NeedMore, from: "a", why: "before the group's first configuration"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var shown []Shown
			for _, r := range c.shown {
				shown = append(shown, Shown{r.Server.Node(), []Replica{r}})
			}
			for _, name := range strings.Fields(c.blank) {
				shown = append(shown, Shown{Node: nodeID(name)})
			}
			var lost []nodeID
			for _, name := range strings.Fields(c.lost) {
				lost = append(lost, nodeID(name))
			}
			plans := PlanRecovery(shown, lost)
			if len(plans) != 1 || plans[0].Group != 1 {
				t.Fatalf("plans %+v", plans)
			}
			p := plans[0]
			want := ServerID("")
			if c.from != "" {
				want = planServer(c.from)
			}
			if p.Need != c.need || p.From.Server != want || !strings.Contains(p.Why, c.why) {
				t.Fatalf("need %s from %q: %s\nwant %s from %q: %s", p.Need, p.From.Server, p.Why, c.need, want, c.why)
			}
			if (p.Recovery != Recovery{}) != (c.need == NeedRecovery) {
				t.Fatalf("need %s, and recovery %+v", p.Need, p.Recovery)
			}
			if c.need != NeedRecovery {
				return
			}
			for _, r := range c.shown {
				if p.Recovery.Term < r.Term+recoveryStep || p.Recovery.Lineage.Generation() <= r.Server.Lineage().Generation() {
					t.Errorf("%+v is not above %+v", p.Recovery, r)
				}
			}
			if again := PlanRecovery(shown, lost)[0].Recovery; again.Lineage == p.Recovery.Lineage {
				t.Error("two recoveries of one group have the same lineage")
			}
		})
	}
}

func TestLineages(t *testing.T) {
	first := newServerID("n1.x-2", "")
	if first.Lineage() != "" || first.Lineage().Generation() != 0 || first.Node() != "n1.x-2" {
		t.Errorf("%s: lineage %q on %s", first, first.Lineage(), first.Node())
	}
	l := newLineage(12)
	later := newServerID("n1.x-2", l)
	if later.Lineage() != l || l.Generation() != 12 || later.Node() != "n1.x-2" || len(later) != len(first)+len(fmt.Sprint(".", l)) {
		t.Errorf("%s: lineage %q of generation %d on %s", later, later.Lineage(), l.Generation(), later.Node())
	}
}
