package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/reprise-run/reprise/raftlog"
)

// The patience of a graceful stop, if its context allows as much.
const (
	handOverPatience = 3 * time.Second
	drainPatience    = 5 * time.Second
	leavePatience    = time.Second
	unloadPatience   = time.Second
)

// Stop ends the node in good order: it takes no new work, hands leadership
// over, lets running activities end for a moment, and says good-bye to the
// others. When ctx is done it goes on without further patience: with a context
// that is done already, the node ends as if it crashed.
func (n *Node) Stop(ctx context.Context) error {
	n.mu.Lock()
	if n.stopping {
		n.mu.Unlock()
		return nil
	}
	n.stopping = true
	n.mu.Unlock()
	n.announce()
	n.HandOver(ctx)
	drain, cancel := context.WithTimeout(ctx, drainPatience)
	n.worker.drain(drain)
	cancel()
	if ctx.Err() == nil {
		leave, cancel := context.WithTimeout(ctx, leavePatience)
		if err := n.members.Leave(leave); err != nil {
			n.log.Debug("left without a word", "error", err)
		}
		cancel()
	}
	return n.shutdown()
}

// HandOver gives away the leadership of every group that this node leads. It returns
// when those that somebody took are led here no more.
func (n *Node) HandOver(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, handOverPatience)
	defer cancel()
	n.mu.Lock()
	var led []replica
	for _, r := range n.replicas {
		if r.leads {
			led = append(led, *r)
		}
	}
	n.mu.Unlock()
	var wg sync.WaitGroup
	for i, r := range led {
		wg.Go(func() {
			if !n.handOverGroup(ctx, r.group, i) {
				return
			}
			// Raft's leader steps down before the reign ends: it writes the new term down.
			select {
			case <-r.over:
			case <-ctx.Done():
			}
		})
	}
	wg.Wait()
}

// handOverGroup gives a group to one of the other voters that are there, another
// one for each group. It reports whether one took it.
func (n *Node) handOverGroup(ctx context.Context, g *raftlog.Group, turn int) bool {
	var there []raftlog.ServerID
	for _, s := range g.Configuration() {
		if m, alive := n.member(s.ID.Node()); alive && !m.Leaving && s.Voter && s.ID != g.Server() && g.CaughtUp(s.ID) {
			there = append(there, s.ID)
		}
	}
	for i := range there {
		if ctx.Err() != nil {
			return false
		}
		to := there[(turn+i)%len(there)]
		err := g.TransferLeadership(ctx, to)
		if err == nil {
			return true
		}
		n.log.Debug("leadership not handed over", "group", g.ID(), "to", to, "error", err)
	}
	return false
}

// shutdown ends everything that was started, in the opposite order. It may find
// a node that is only half started.
func (n *Node) shutdown() error {
	n.mu.Lock()
	n.stopping = true
	n.mu.Unlock()
	if n.rpc != nil {
		n.rpc.stop()
	}
	var errs []error
	if n.http != nil {
		errs = append(errs, n.http.Close())
	}
	if n.members != nil {
		errs = append(errs, n.members.Close())
	}
	n.cancel()
	if n.host != nil {
		errs = append(errs, n.host.Close()) // waits for all reigns
	}
	n.wg.Wait()
	if c, ok := n.code.(interface{ Close(context.Context) error }); ok {
		ctx, cancel := context.WithTimeout(context.Background(), unloadPatience)
		errs = append(errs, c.Close(ctx))
		cancel()
	}
	for _, c := range n.closers {
		errs = append(errs, c.Close())
	}
	if n.data != nil {
		errs = append(errs, n.data.close())
	}
	return errors.Join(errs...)
}
