package raftlog

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// Group is a running replica. It is safe for concurrent use, and stays usable
// while a snapshot is installed, which restarts the Raft below it.
type Group struct {
	id         GroupID
	host       *Host
	log        *groupLog
	machine    *machine
	leadFunc   func(context.Context, *Reign)
	divergence *divergence
	hint       hint
	progress   progress
	installs   installs
	elections  atomic.Uint64 // that this replica began
	reigns     atomic.Uint64 // that it had

	// lifecycle is held (capacity 1) while the incarnation is stopped or started.
	lifecycle chan struct{}

	mu          sync.Mutex // guards the fields below
	current     *incarnation
	closed      bool
	quarantined string
}

func newGroup(h *Host, id GroupID, lead func(context.Context, *Reign)) (*Group, error) {
	log, err := openGroupLog(h.log, id, h.cfg.LogCacheBytes, h.failed)
	if err != nil {
		return nil, err
	}
	g := &Group{id: id, host: h, log: log, leadFunc: lead, lifecycle: make(chan struct{}, 1)}
	g.divergence = newDivergence(g)
	if g.machine, err = newMachine(g); err != nil {
		return nil, err
	}
	if g.current, err = startIncarnation(g); err != nil {
		return nil, err
	}
	g.configurationApplied(g.current.raft.GetConfiguration().Configuration())
	return g, nil
}

// incarnation returns the running Raft, nil if there is none at the moment.
func (g *Group) incarnation() *incarnation {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.current
}

// close stops the replica for good.
func (g *Group) close() {
	g.installs.abort()
	g.lifecycle <- struct{}{}
	defer func() { <-g.lifecycle }()
	g.mu.Lock()
	inc := g.current
	g.current, g.closed = nil, true
	g.mu.Unlock()
	if inc != nil {
		inc.stop()
	}
}

// Blank reports whether the replica has heard nothing yet.
func (g *Group) Blank() bool {
	g.log.mu.RLock()
	defer g.log.mu.RUnlock()
	return g.log.term == 0 && g.log.held() == 0
}

// Supersede puts the replica into quarantine because its group was recovered
// without it: the group goes on in the lineage of another replica.
func (g *Group) Supersede(by ServerID) {
	g.quarantine(fmt.Sprintf("its group was recovered without it and goes on as lineage %s with %s; what this replica alone holds is lost with the next start of its node: copy the data directory before, if somebody may want to look for it", by.Lineage(), by))
}

// quarantine stops the replica because its state is not that of the group.
func (g *Group) quarantine(reason string) {
	g.lifecycle <- struct{}{}
	defer func() { <-g.lifecycle }()
	g.mu.Lock()
	inc := g.current
	if g.closed || g.quarantined != "" {
		g.mu.Unlock()
		return
	}
	g.current, g.quarantined = nil, reason
	g.mu.Unlock()
	g.host.cfg.Logger.Error("REPLICA IS QUARANTINED: its state is not that of its group, in which it takes no part any more. Restart the node: the replica is made anew",
		"group", g.id, "server", g.log.server, "reason", reason)
	if inc != nil {
		inc.stop()
	}
	if g.host.failed() {
		return
	}
	if err := g.log.markDiverged(reason); err != nil {
		g.host.fatal(fmt.Errorf("put replica of group %d into quarantine: %w", g.id, err))
	}
}

// configurationApplied keeps in the marks whether this replica is the only voter.
func (g *Group) configurationApplied(c raft.Configuration) {
	if len(c.Servers) == 0 {
		return
	}
	voters, self := 0, false
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			voters++
			self = self || s.ID == raft.ServerID(g.log.server)
		}
	}
	alone := self && voters == 1
	if k, _ := g.host.marks.get(g.id); k.alone == alone {
		return
	}
	if err := g.host.marks.update(g.id, func(k *mark) { k.alone = alone }); err != nil {
		g.host.fatal(err)
	}
}

// ID returns the group's ID.
func (g *Group) ID() GroupID { return g.id }

// Server returns this replica's identity.
func (g *Group) Server() ServerID { return g.log.server }

// Server is a member of a group.
type Server struct {
	ID    ServerID `json:"id"`
	Voter bool     `json:"voter"`
}

// Configuration returns the newest configuration that this replica knows,
// committed or not. It is empty while a snapshot is installed.
func (g *Group) Configuration() []Server {
	inc := g.incarnation()
	if inc == nil {
		return nil
	}
	return serversOf(inc.raft.GetConfiguration().Configuration())
}

func serversOf(c raft.Configuration) []Server {
	servers := make([]Server, len(c.Servers))
	for i, s := range c.Servers {
		servers[i] = Server{ID: ServerID(s.ID), Voter: s.Suffrage == raft.Voter}
	}
	return servers
}

func configurationOf(servers []ServerID) raft.Configuration {
	var c raft.Configuration
	for _, s := range servers {
		c.Servers = append(c.Servers, raft.Server{Suffrage: raft.Voter, ID: raft.ServerID(s), Address: raft.ServerAddress(s)})
	}
	return c
}

// voters returns the voters of the newest configuration.
func voters(c raft.Configuration) []ServerID {
	var ids []ServerID
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			ids = append(ids, ServerID(s.ID))
		}
	}
	return ids
}

// contains reports whether a server is in a configuration.
func contains(c raft.Configuration, id ServerID) bool {
	return slices.ContainsFunc(c.Servers, func(s raft.Server) bool { return s.ID == raft.ServerID(id) })
}

// AddNonvoter adds a replica without a vote. Like all changes of the
// configuration it returns when the change is committed. ErrNotLeader.
func (g *Group) AddNonvoter(ctx context.Context, id ServerID) error {
	return g.change(ctx, "add", id, func(r *raft.Raft) raft.Future {
		return r.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), 0, g.host.cfg.RequestTimeout)
	})
}

// AddVoter adds a replica with a vote, or gives a vote to one that has none.
func (g *Group) AddVoter(ctx context.Context, id ServerID) error {
	return g.change(ctx, "promote", id, func(r *raft.Raft) raft.Future {
		return r.AddVoter(raft.ServerID(id), raft.ServerAddress(id), 0, g.host.cfg.RequestTimeout)
	})
}

// RemoveServer removes a replica from the group.
func (g *Group) RemoveServer(ctx context.Context, id ServerID) error {
	return g.change(ctx, "remove", id, func(r *raft.Raft) raft.Future {
		return r.RemoveServer(raft.ServerID(id), 0, g.host.cfg.RequestTimeout)
	})
}

// change runs a request to Raft and waits for its future or for ctx. The wait
// ends at the latest when Raft stops.
func (g *Group) change(ctx context.Context, what string, id ServerID, ask func(*raft.Raft) raft.Future) error {
	inc := g.incarnation()
	if inc == nil {
		return fmt.Errorf("%s %s in group %d: %w", what, id, g.id, ErrNotLeader)
	}
	done := make(chan error, 1)
	inc.spawn(func() { done <- releaseOn(ask(inc.raft), inc.stopped).Error() })
	select {
	case err := <-done:
		switch err {
		case nil:
			return nil
		case raft.ErrNotLeader, raft.ErrLeadershipLost, raft.ErrRaftShutdown:
			err = fmt.Errorf("%w: %w", ErrNotLeader, err)
		}
		return fmt.Errorf("%s %s in group %d: %w", what, id, g.id, err)
	case <-inc.stopped:
		return fmt.Errorf("%s %s in group %d: %w", what, id, g.id, ErrNotLeader)
	case <-ctx.Done():
		return fmt.Errorf("%s %s in group %d: %w", what, id, g.id, ctx.Err())
	}
}

// Leader returns the leader that this replica knows, "" if none, and the
// replica's term.
func (g *Group) Leader() (ServerID, uint64) {
	term := g.log.currentTerm()
	inc := g.incarnation()
	if inc == nil {
		return "", term
	}
	_, id := inc.raft.LeaderWithID()
	return ServerID(id), term
}

// State reads the state store: what this replica has applied.
func (g *Group) State() pebble.Reader { return g.host.state }

// nodeLost is the crash hint for this group.
func (g *Group) nodeLost(n peer.NodeID) { g.hint.lost(g, n) }
