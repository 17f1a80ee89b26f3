package raftlog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

// Leadership is handed over here and not by Raft's LeadershipTransfer. That one
// waits without a limit for a follower that does not answer, and refuses all
// proposals meanwhile; if leadership is lost before the follower answers, it
// refuses them for ever: the next time this replica is elected, its group has a
// leader that can do nothing. Here nothing is refused. Proposals wait in the
// queue of the reign, and go on if nobody takes over.

// transferPoll is how often a transfer looks whether it can go on.
const transferPoll = time.Millisecond

var (
	errNotCaughtUp  = errors.New("the replica does not hold the whole log")
	errNotTakenOver = errors.New("the replica did not take over in time")
)

// TransferLeadership hands leadership to another voter. It returns once Raft leads no
// more here; the reign ends a moment later. An error leaves the reign as it was, but for
// ErrNotLeader: there is none.
func (g *Group) TransferLeadership(ctx context.Context, to ServerID) error {
	if err := g.transfer(ctx, to); err != nil {
		return fmt.Errorf("transfer leadership to %s in group %d: %w", to, g.id, err)
	}
	return nil
}

func (g *Group) transfer(ctx context.Context, to ServerID) error {
	inc, r := g.incarnation(), g.machine.currentReign()
	if inc == nil || r == nil || inc.raft.State() != raft.Leader {
		return ErrNotLeader
	}
	if to == g.log.server || !slices.Contains(voters(inc.raft.GetConfiguration().Configuration()), to) {
		return errors.New("it has no vote here, or leads already")
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	// Each of the two waits below gets as long as an election may take.
	patience := g.host.cfg.ElectionTimeout
	prepare, cancel := context.WithTimeoutCause(ctx, patience, errNotCaughtUp)
	defer cancel()
	if !r.pause(prepare) {
		return whyNot(r, prepare)
	}
	defer r.resume()
	if !r.await(prepare, func() bool { return r.Applied() >= r.handed && g.holdsAll(inc, r, to) }) {
		return whyNot(r, prepare)
	}
	var answer raft.TimeoutNowResponse
	if err := inc.transport.TimeoutNow(raft.ServerID(to), "", &raft.TimeoutNowRequest{}, &answer); err != nil {
		return err
	}
	taken, cancel := context.WithTimeoutCause(ctx, patience, errNotTakenOver)
	defer cancel()
	if r.await(taken, func() bool { return inc.raft.State() != raft.Leader }) {
		return nil
	}
	select {
	case <-r.over:
		return nil
	default:
		return context.Cause(taken)
	}
}

// holdsAll reports whether a follower has acknowledged the whole log of a reign.
func (g *Group) holdsAll(inc *incarnation, r *Reign, id ServerID) bool {
	m := g.progress.get(id)
	return m.term == r.term && m.index >= inc.raft.LastIndex()
}

// whyNot says why a transfer did not begin.
func whyNot(r *Reign, ctx context.Context) error {
	select {
	case <-r.over:
		return ErrNotLeader
	default:
		return context.Cause(ctx)
	}
}

// pause keeps the proposals of the reign back until resume. It returns false if
// the reign or ctx is over.
func (r *Reign) pause(ctx context.Context) bool {
	select {
	case r.turn <- struct{}{}:
		return true
	case <-r.over:
	case <-ctx.Done():
	}
	return false
}

// resume lets proposals go on.
func (r *Reign) resume() { <-r.turn }

// await waits until a condition holds; false if the reign or ctx is over before.
func (r *Reign) await(ctx context.Context, done func() bool) bool {
	ticker := time.NewTicker(transferPoll)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-r.over:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}
