package raftlog

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// votesIn reports whether a node has heard of another one's vote in group 1.
func (n *testNode) votesIn(other *testNode) bool {
	for _, s := range n.group[1].Configuration() {
		if s.ID == other.group[1].Server() {
			return s.Voter
		}
	}
	return false
}

// grow gives a vote to a new replica. The behind hear neither of it nor of anything
// that comes later, and the last of them not even that the replica is there; they are
// connected to everybody again at the end. It returns the leader first, then the other
// voters that have heard.
func (c *testCluster) grow(fresh *testNode, behind int) []*testNode {
	c.t.Helper()
	leader := c.put(1, "k", "1")
	others := c.others(leader)
	for _, n := range others {
		c.eventually("the others hold what was written", func() bool { return n.read(1, "k") == "1" })
	}
	late, heard := others[:behind], append([]*testNode{leader}, others[behind:]...)
	cut := func(n *testNode) { c.net.Isolate([]nodeID{n.id}, append(slices.Clone(c.order), fresh.id)) }
	id := fresh.create(1)
	fresh.start(1)
	if behind > 1 {
		cut(late[behind-1])
	}
	group := leader.group[1]
	if err := group.AddNonvoter(c.t.Context(), id); err != nil {
		c.t.Fatal(err)
	}
	c.eventually("the new replica has caught up", func() bool { return group.CaughtUp(id) })
	for _, n := range late {
		cut(n)
	}
	if err := group.AddVoter(c.t.Context(), id); err != nil {
		c.t.Fatal(err)
	}
	c.order = append(c.order, fresh.id)
	c.put(1, "k", "2")
	for _, n := range late {
		if n.votesIn(fresh) || n.read(1, "k") != "1" {
			c.t.Fatalf("%s has heard of the vote of %s: nothing is tested", n.id, fresh.id)
		}
	}
	return heard
}

// TestNewVoterIsElected: a configuration with a new voter is committed by a majority to
// which the new voter belongs, and the others that hold it die. Whoever is left makes a
// majority still, and must elect the new voter, which alone holds the whole log, though
// they have not heard of its vote.
func TestNewVoterIsElected(t *testing.T) {
	for _, tc := range []struct {
		old    []nodeID
		behind int
	}{
		{[]nodeID{"a", "b"}, 1},
		{[]nodeID{"a", "b", "c", "d"}, 2},
	} {
		t.Run(fmt.Sprint(len(tc.old)), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTestCluster(t, nil, tc.old...)
				c.bootstrap(1)
				fresh := &testNode{c: c, id: "new", disk: vfs.NewCrashableMem()}
				c.nodes[fresh.id] = fresh
				fresh.open()
				for _, n := range c.grow(fresh, tc.behind) {
					n.crash(0)
				}
				c.net.Heal()
				if n := c.put(1, "k", "3"); n != fresh {
					t.Errorf("%s leads: its log is shorter than that of the new one", n.id)
				}
			})
		})
	}
}

// TestRemovedReplicaDisturbsNobody: a replica that has not heard that it was removed asks
// for votes again and again. It gets none while there is a leader, nor from whoever
// holds its removal.
func TestRemovedReplicaDisturbsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c", "d")
		c.bootstrap(1)
		leader := c.put(1, "k", "1")
		others := c.others(leader)
		removed, rest := others[0], others[1:]
		all := []nodeID{leader.id, rest[0].id, rest[1].id}
		c.net.Isolate([]nodeID{removed.id}, all)
		time.Sleep(5 * time.Second) // until it knows no leader any more
		if err := leader.group[1].RemoveServer(t.Context(), removed.group[1].Server()); err != nil {
			t.Fatal(err)
		}
		_, r := c.reign(1)
		c.put(1, "k", "2")
		c.net.Heal()
		time.Sleep(time.Minute) // of the bubble, and dozens of elections of the removed one
		if removed.group[1].incarnation().raft.State() != raft.Candidate {
			t.Fatal("the removed replica asks for no votes: nothing is tested")
		}
		if !r.open() {
			t.Errorf("a removed replica ended a reign: %v", r.cause)
		}
		leader.crash(0)
		if n := c.put(1, "k", "3"); n == removed {
			t.Errorf("%s leads and was removed", n.id)
		}
	})
}
