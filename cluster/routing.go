package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

// The waits between two tries of a request that found no leader.
const (
	firstRetry = 5 * time.Millisecond
	lastRetry  = 250 * time.Millisecond
)

// partitionOf returns the partition of an instance; false while the layout is
// not known.
func (n *Node) partitionOf(ref leader.InstanceRef) (uint32, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.slots[slotOf(ref)]
	return p, p != 0
}

// partitionOfSlot returns the partition to which a slot belongs. It is asked by
// leaders: who leads knows the layout.
func (n *Node) partitionOfSlot(slot history.Slot) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slots[slot]
}

// leaderOf returns the node that leads a group, as far as this node knows: by
// its own replica, or by what the last answer said.
func (n *Node) leaderOf(g uint32) (peer.NodeID, bool) {
	n.mu.Lock()
	r, hint := n.replicas[g], n.hints[g]
	leads := r != nil && r.leads
	n.mu.Unlock()
	if leads {
		return n.self, true
	}
	if r != nil {
		if id, _ := r.group.Leader(); id != "" {
			return id.Node(), true
		}
	}
	return hint, hint != ""
}

// guessLeader returns a node to ask for a group: the leader if it is known, or
// one of the replicas, another one each time.
func (n *Node) guessLeader(g uint32, try int) (peer.NodeID, bool) {
	if to, ok := n.leaderOf(g); ok && to != n.self {
		return to, true
	}
	l := n.currentLayout()
	if l == nil {
		return "", false
	}
	p, _ := l.group(g)
	var there []peer.NodeID
	for _, name := range append([]peer.NodeID{p.Preferred}, without(p.Replicas, p.Preferred)...) {
		if _, alive := n.member(name); alive && name != n.self {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return "", false
	}
	return there[try%len(there)], true
}

// learnLeader remembers what an answer, or its lack, says about who leads a group.
func (n *Node) learnLeader(g uint32, asked peer.NodeID, err error) {
	var redirect *redirectError
	switch {
	case err == nil:
		n.hint(g, asked)
	case errors.As(err, &redirect) && redirect.to != asked:
		n.hint(g, redirect.to)
	case passing(err):
		n.hint(g, "")
	}
}

// hint remembers who is said to lead a group; "" forgets it.
func (n *Node) hint(g uint32, to peer.NodeID) {
	n.mu.Lock()
	if to == "" {
		delete(n.hints, g)
	} else {
		n.hints[g] = to
	}
	n.mu.Unlock()
}

// route brings a request for a partition to its leader. here is called where the
// leader is on this node, there with the node to forward to. Where nothing was
// done, it tries again until ctx is done; where the outcome is unknown, only if
// the request may be repeated. A refusal as too old carries the partition's clock
// only where it is sure that no try was executed.
func (n *Node) route(ctx context.Context, find func() (uint32, bool), repeatable bool,
	here func(context.Context, *leader.Leader) error, there func(context.Context, peer.NodeID) error) error {
	wait := firstRetry
	unsure := false // a try may have been executed
	for try := 0; ; try++ {
		changed := n.changed.wait()
		began := time.Now()
		err := n.routeOnce(ctx, try, find, here, there)
		unsure = unsure || err != nil && !untouched(err) && passing(err)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, leader.ErrRequestExpired) && (unsure || time.Since(began) > leader.AnswerGrace):
			return leader.ErrRequestExpired // without the clock: nobody may stamp it anew
		case ctx.Err() != nil:
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case !passing(err):
			return err
		case !untouched(err) && !repeatable:
			return fmt.Errorf("%w, and it is not known whether the request was executed: %w", ErrUnavailable, err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
			timer.Stop()
			// A leader that just came may be the one; the pause keeps busy changes
			// from making this loop busy.
			select {
			case <-time.After(firstRetry):
			case <-ctx.Done():
			}
		case <-ctx.Done():
			timer.Stop()
		case <-n.ctx.Done():
			timer.Stop()
			return fmt.Errorf("%w: node is stopping: %w", ErrUnavailable, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("%w: %w: %w", ErrUnavailable, ctx.Err(), err)
		}
		wait = min(2*wait, lastRetry)
	}
}

func (n *Node) routeOnce(ctx context.Context, try int, find func() (uint32, bool),
	here func(context.Context, *leader.Leader) error, there func(context.Context, peer.NodeID) error) error {
	p, ok := find()
	if !ok {
		return errNotReady
	}
	if l, _ := n.localLeader(p); l != nil {
		return here(ctx, l)
	}
	to, ok := n.guessLeader(p, try)
	if !ok {
		return fmt.Errorf("partition %d: %w", p, errNotHere)
	}
	err := there(ctx, to)
	n.learnLeader(p, to, err)
	return err
}

// untouched reports whether an error says that nothing was done.
func untouched(err error) bool {
	return errors.Is(err, errNotHere) || errors.Is(err, errNotReady) || errors.Is(err, peer.ErrBusy)
}

// passing reports whether another try, maybe elsewhere, may succeed.
func passing(err error) bool {
	return untouched(err) || errors.Is(err, leader.ErrNotLeading) || errors.Is(err, peer.ErrUnreachable) ||
		errors.Is(err, peer.ErrNoHandler)
}

// away is the answer to a request for a partition that is not led here.
func (n *Node) away(p uint32) error {
	if to, ok := n.leaderOf(p); ok && to != n.self {
		return &redirectError{to}
	}
	return errNotHere
}
