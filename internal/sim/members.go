package sim

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/internal/peer"
)

// gossipDelay is how long a change takes until the other nodes hear of it.
const gossipDelay = 50 * time.Millisecond

// deathDelay is how long a silent node takes to be declared dead; it is what
// memberlist needs with the timings that a node uses.
const deathDelay = 1400 * time.Millisecond

// gossip is the membership of a simulated cluster: it knows everything at once
// and tells it late, or not at all across a cut.
type gossip struct {
	mu      sync.Mutex // guards all below
	members map[peer.NodeID]*membership
	gone    map[peer.NodeID]departure
	cuts    map[[2]peer.NodeID]time.Time // since when; by sender and receiver
}

// departure is a node that ended without a word.
type departure struct {
	last cluster.Member
	at   time.Time
}

func newGossip() *gossip {
	return &gossip{
		members: map[peer.NodeID]*membership{},
		gone:    map[peer.NodeID]departure{},
		cuts:    map[[2]peer.NodeID]time.Time{},
	}
}

// membership is one node's view. It implements cluster.Membership.
type membership struct {
	hub     *gossip
	self    cluster.Member
	changed func()
}

// node returns the membership of a new process of a node.
func (g *gossip) node() *membership { return &membership{hub: g} }

// Start implements cluster.Membership.
func (m *membership) Start(_ context.Context, self cluster.Member, _ []string, changed func()) error {
	m.hub.mu.Lock()
	m.self, m.changed = self, changed
	m.hub.members[self.Name] = m
	delete(m.hub.gone, self.Name)
	m.hub.mu.Unlock()
	m.hub.announce(gossipDelay)
	return nil
}

// Members implements cluster.Membership.
func (m *membership) Members() []cluster.Member {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	var view []cluster.Member
	for _, name := range slices.Sorted(maps.Keys(m.hub.members)) {
		other := m.hub.members[name]
		if other == m || !m.hub.silent(other.self.Name, m.self.Name) {
			view = append(view, other.self)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.hub.gone)) {
		if d := m.hub.gone[name]; time.Since(d.at) < deathDelay && name != m.self.Name {
			view = append(view, d.last)
		}
	}
	return view
}

// Update implements cluster.Membership.
func (m *membership) Update(self cluster.Member) {
	m.hub.mu.Lock()
	m.self = self
	m.hub.mu.Unlock()
	m.hub.announce(gossipDelay)
}

// Leave implements cluster.Membership.
func (m *membership) Leave(context.Context) error { return m.Close() }

// Close implements cluster.Membership.
func (m *membership) Close() error {
	m.hub.mu.Lock()
	if m.hub.members[m.self.Name] == m {
		delete(m.hub.members, m.self.Name)
	}
	m.hub.mu.Unlock()
	m.hub.announce(gossipDelay)
	return nil
}

// silent reports whether a hears nothing of b for so long that it thinks it
// dead: nothing passes in one direction, and no answer in the other.
func (g *gossip) silent(from, to peer.NodeID) bool {
	for _, cut := range [][2]peer.NodeID{{from, to}, {to, from}} {
		if since, ok := g.cuts[cut]; ok && time.Since(since) >= deathDelay {
			return true
		}
	}
	return false
}

// crashed says that a node's process ended without a word.
func (g *gossip) crashed(name peer.NodeID) {
	g.mu.Lock()
	if m := g.members[name]; m != nil {
		delete(g.members, name)
		g.gone[name] = departure{m.self, time.Now()}
	}
	g.mu.Unlock()
	g.announce(deathDelay + gossipDelay)
}

// cut says that nothing passes from one node to another, or that it does again.
func (g *gossip) cut(from, to peer.NodeID, on bool) {
	g.mu.Lock()
	if on {
		g.cuts[[2]peer.NodeID{from, to}] = time.Now()
	} else {
		delete(g.cuts, [2]peer.NodeID{from, to})
	}
	g.mu.Unlock()
	g.announce(deathDelay + gossipDelay)
}

// announce tells all nodes, after a while, that something changed.
func (g *gossip) announce(after time.Duration) {
	time.AfterFunc(after, func() {
		g.mu.Lock()
		var told []func()
		for _, m := range g.members {
			told = append(told, m.changed)
		}
		g.mu.Unlock()
		for _, changed := range told {
			changed()
		}
	})
}
