package raftlog

import (
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// An election is eight writes in a row that must be on disk: the term and the
// vote of the candidate, each in the log store and in the marks, and then the
// same at a voter. Where that takes longer than a candidate waits, because disks
// or processors are busy, it gives up before it can have heard of a vote, and
// begins anew; the others do the same, and all of it makes the machine busier. No
// number of tries helps. So a replica that goes without a leader, although it is
// connected to a majority, waits longer and longer, both as a candidate and as a
// follower, before it begins an election.
type patience struct {
	election atomic.Int64 // time.Duration; what Raft waits now for votes
}

const (
	// patienceShare is which part of the time without a leader an election gets.
	patienceShare = 2
	// maxPatience bounds it.
	maxPatience = 8 * time.Second
	// calm is how long there must have been a leader until a replica that has waited
	// long expects to hear of it as often as usual again.
	calm = 10 * time.Second
)

// current returns how long an election may take now.
func (p *patience) current() time.Duration { return time.Duration(p.election.Load()) }

// patienceFor returns how long an election may take after a time without a leader.
func patienceFor(usual, without time.Duration) time.Duration {
	return max(usual, min(without/patienceShare, maxPatience))
}

// keepPatience adapts Raft's timeouts until the incarnation ends.
func (inc *incarnation) keepPatience() {
	changed := make(chan raft.Observation, 1) // whatever does not fit is seen with this one
	observer := raft.NewObserver(changed, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			if o.Data == raft.Candidate {
				inc.group.elections.Add(1)
			}
			return true
		}
		return false
	})
	inc.raft.RegisterObserver(observer)
	defer inc.raft.DeregisterObserver(observer)
	usual := inc.group.host.cfg.ElectionTimeout
	led, since := false, time.Now() // whether there is a leader, and since when
	timer := time.NewTimer(usual)
	defer timer.Stop()
	for {
		select {
		case <-inc.ctx.Done():
			return
		case <-changed:
		case <-timer.C:
		}
		_, leader := inc.raft.LeaderWithID()
		if now := leader != ""; now != led {
			led, since = now, time.Now()
		}
		switch {
		case !led && !inc.reachesMajority():
			since = time.Now() // patience brings nobody back
			inc.wait(usual)
			timer.Reset(usual)
		case !led:
			inc.wait(patienceFor(usual, time.Since(since)))
			timer.Reset(usual)
		case ServerID(leader) == inc.group.log.server, time.Since(since) >= calm:
			inc.wait(usual) // of a leader, at once: its heartbeats have their pace from it
			timer.Stop()
		default:
			timer.Reset(calm - time.Since(since))
		}
	}
}

// reachesMajority reports whether there are connections to so many voters that
// they and this replica could elect a leader.
func (inc *incarnation) reachesMajority() bool {
	ids := voters(inc.raft.GetConfiguration().Configuration())
	reached := 0
	for _, id := range ids {
		if id == inc.group.log.server || inc.transport.network.Connected(id.Node()) {
			reached++
		}
	}
	return reached > len(ids)/2
}

// wait sets how long Raft waits for votes, and as a follower for its leader.
func (inc *incarnation) wait(d time.Duration) {
	if inc.patience.current() == d {
		return
	}
	c := inc.group.host.cfg
	rc := inc.raft.ReloadableConfig()
	rc.ElectionTimeout = d
	rc.HeartbeatTimeout = min(d, max(c.HeartbeatTimeout, d-c.ElectionTimeout+c.HeartbeatTimeout))
	if err := inc.raft.ReloadConfig(rc); err != nil {
		c.Logger.Error("timeouts of Raft cannot be changed", "group", inc.group.id, "election", d, "error", err)
		return
	}
	inc.patience.election.Store(int64(d))
}
