package raftlog

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// progress is what a leader knows of how far its followers are, from their
// answers. Raft knows it too, but does not tell.
type progress struct {
	mu      sync.Mutex // guards matched
	matched map[ServerID]match
}

type match struct {
	term, index uint64
	at          time.Time
}

// caughtUpWithin is how many entries a replica may be behind to get a vote.
const caughtUpWithin = 64

// note takes in an answer to AppendEntries.
func (p *progress) note(id ServerID, a *raft.AppendEntriesRequest, r *raft.AppendEntriesResponse) {
	if !r.Success || a.PrevLogEntry == 0 && len(a.Entries) == 0 {
		return
	}
	p.set(id, a.Term, a.PrevLogEntry+uint64(len(a.Entries)))
}

func (p *progress) set(id ServerID, term, index uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.matched == nil {
		p.matched = make(map[ServerID]match)
	}
	m := p.matched[id]
	if m.term == term {
		index = max(index, m.index)
	}
	p.matched[id] = match{term, index, time.Now()}
}

func (p *progress) get(id ServerID) match {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.matched[id]
}

// CaughtUp reports, on the leader, whether a replica holds nearly all of the
// log, so that it may get a vote.
func (g *Group) CaughtUp(id ServerID) bool {
	inc := g.incarnation()
	if inc == nil || inc.raft.State() != raft.Leader {
		return false
	}
	m := g.progress.get(id)
	return m.term == g.log.currentTerm() &&
		m.index+caughtUpWithin >= inc.raft.LastIndex() &&
		time.Since(m.at) < 4*g.host.cfg.CommitTimeout
}
