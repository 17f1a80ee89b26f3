package raftlog

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/hashicorp/raft"
)

// reopenDelay is how long a leader whose Open or whose reign failed waits before
// the next Open, so that a refusal that lasts does not make it spin.
const reopenDelay = 20 * time.Millisecond

// rule begins and ends reigns as Raft gains and loses leadership. It runs as
// long as the incarnation.
//
// LeaderCh keeps only the newest change. That is enough: whatever arrives during
// a reign means that leadership was lost at least once, so it ends the reign.
func (inc *incarnation) rule() {
	for {
		select {
		case <-inc.ctx.Done():
			return
		case leads := <-inc.raft.LeaderCh():
			for leads {
				leads = inc.reign()
			}
		}
	}
}

// reign opens an epoch and lets lead run until the reign is over. It reports
// whether the replica leads still, or again.
func (inc *incarnation) reign() bool {
	g := inc.group
	var n nonce
	_, _ = rand.Read(n[:]) // never fails
	pending := g.machine.expect(n)
	defer g.machine.setReign(nil)
	failed := make(chan struct{})
	open := inc.apply(encodeOpen(n))
	inc.spawn(func() {
		if open.Error() != nil {
			close(failed)
		}
	})
	select {
	case o := <-pending.opened:
		g.reigns.Add(1)
		return inc.lead(o)
	case <-failed:
		return inc.rest()
	case leads := <-inc.raft.LeaderCh():
		return leads
	case <-inc.ctx.Done():
		return false
	}
}

// lead runs one reign.
func (inc *incarnation) lead(o opening) bool {
	g := inc.group
	r := newReign(g, o)
	g.machine.setReign(r)
	g.host.cfg.Logger.Debug("reign begins", "group", g.id, "epoch", r.epoch, "term", r.term)
	futures := make(chan raft.ApplyFuture, maxQueuedProposals)
	inc.spawn(func() { r.propose(inc, futures) })
	inc.spawn(func() { r.watch(futures) })
	ctx, cancel := context.WithCancel(inc.ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.leadFunc(ctx, r)
	}()
	again := func() bool { return inc.rest() }
	select {
	case leads := <-inc.raft.LeaderCh():
		again = func() bool { return leads }
	case <-r.over:
	case <-done:
	case <-inc.ctx.Done():
		again = func() bool { return false }
	}
	r.end(ErrReignOver)
	cancel()
	<-done
	g.machine.setReign(nil)
	g.host.cfg.Logger.Debug("reign ends", "group", g.id, "epoch", r.epoch, "cause", r.cause)
	return again()
}

// rest waits a moment and reports whether the replica leads.
func (inc *incarnation) rest() bool {
	timer := time.NewTimer(reopenDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return inc.raft.State() == raft.Leader
	case leads := <-inc.raft.LeaderCh():
		return leads
	case <-inc.ctx.Done():
		return false
	}
}
