package raftlog

import (
	"time"

	"github.com/hashicorp/raft"
)

// Stats describes a replica for people and metrics.
type Stats struct {
	Group  GroupID
	Server ServerID
	// Role is leader, candidate, follower, restarting (a snapshot is installed),
	// quarantined or stopped.
	Role        string
	Term        uint64
	Leader      ServerID
	Epoch       uint64
	Sequence    uint64
	Applied     uint64 // newest log index that is in the state
	Hash        uint64 // rolling hash of all commands up to Applied
	Commit      uint64
	FirstIndex  uint64 // of the log
	LastIndex   uint64
	Snapshot    uint64 // index of the snapshot, 0: none
	LogBytes    int64  // about
	Stale       uint64 // entries refused at apply since the start
	Installs    uint64 // snapshots installed since the start
	Quarantined string // why, or empty
	Elections   uint64 // that this replica began since the start
	Reigns      uint64 // that it had since the start
	// Contact is how long ago the leader was heard of; 0 of a leader, below 0 where it
	// never was.
	Contact time.Duration
	Servers []Server
}

// Stats returns the replica's figures.
func (g *Group) Stats() Stats {
	s := Stats{Group: g.id, Server: g.log.server, Role: "restarting", Installs: g.installs.count.Load(),
		Elections: g.elections.Load(), Reigns: g.reigns.Load(), Contact: -1}
	g.machine.mu.Lock()
	rec := g.machine.rec
	s.Stale = g.machine.stale
	g.machine.mu.Unlock()
	s.Epoch, s.Sequence, s.Applied, s.Hash = rec.epoch, rec.sequence, rec.applied, rec.hash
	g.log.mu.RLock()
	s.Term, s.FirstIndex, s.LastIndex, s.LogBytes = g.log.term, g.log.first, g.log.held(), g.log.sizes.total
	if g.log.snapshot != nil {
		s.Snapshot = g.log.snapshot.Index
	}
	g.log.mu.RUnlock()
	g.mu.Lock()
	inc := g.current
	s.Quarantined = g.quarantined
	if g.closed {
		s.Role = "stopped"
	}
	g.mu.Unlock()
	if s.Quarantined != "" {
		s.Role = "quarantined"
	}
	if inc == nil {
		return s
	}
	switch inc.raft.State() {
	case raft.Leader:
		s.Role = "leader"
	case raft.Candidate:
		s.Role = "candidate"
	case raft.Follower:
		s.Role = "follower"
	}
	switch contact := inc.raft.LastContact(); {
	case s.Role == "leader":
		s.Contact = 0
	case !contact.IsZero():
		s.Contact = max(time.Since(contact), 0)
	}
	_, leader := inc.raft.LeaderWithID()
	s.Leader = ServerID(leader)
	s.Commit = inc.raft.CommitIndex()
	s.Servers = serversOf(inc.raft.GetConfiguration().Configuration())
	return s
}

func (g *Group) isQuarantined() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.quarantined != ""
}
