package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Alive returns nil while the process is up and its disk takes writes, and otherwise
// what is wrong: a node that it does not pass should be started anew.
func (n *Node) Alive() error {
	n.mu.Lock()
	failed := n.failed
	n.mu.Unlock()
	switch {
	case failed:
		return errors.New("the node cannot go on; see its log")
	case n.host.DiskLate():
		return errors.New("the disk is stalled: a write or an fsync does not return")
	}
	return nil
}

// Serving returns nil if the node belongs to a cluster, and all groups of which it
// has a replica have leaders; otherwise it says what the node waits for. It asks other
// nodes only where a group has none.
func (n *Node) Serving(ctx context.Context) error {
	if err := n.Alive(); err != nil {
		return err
	}
	n.mu.Lock()
	stopping := n.stopping
	n.mu.Unlock()
	if stopping {
		return errors.New("the node is stopping")
	}
	if w := n.waitsToServe(ctx); w.message != "" {
		return errors.New(w.String())
	}
	return nil
}

// waitsToServe returns what keeps this node from serving its own groups.
func (n *Node) waitsToServe(ctx context.Context) waiting {
	if n.data.get().Cluster == "" {
		return n.waitsFor(ctx)
	}
	if n.currentLayout() == nil {
		return waiting{message: "this node does not know the layout of its cluster yet"}
	}
	silent := n.leaderlessGroups()
	if len(silent) == 0 {
		return waiting{}
	}
	if w := n.whyLeaderless(ctx, silent); w.message != "" {
		return w
	}
	return waiting{} // they have leaders by now
}

// String returns what the log says, in one line.
func (w waiting) String() string {
	var b strings.Builder
	b.WriteString(w.message)
	for i := 0; i+1 < len(w.details); i += 2 {
		fmt.Fprintf(&b, "; %v: %v", w.details[i], w.details[i+1])
	}
	return b.String()
}
