package cluster

import "context"

// Node is a node of a cluster. Its methods are safe for concurrent use.
type Node struct{}

// Ready returns when the node knows the layout and every partition has a leader.
func (n *Node) Ready(ctx context.Context) error { panic("not written") }

// Stop ends the node in good order: it takes no new work, hands leadership
// over, lets running activities end for a moment, and says good-bye to the
// others. When ctx is done it goes on without further patience.
func (n *Node) Stop(ctx context.Context) error { panic("not written") }
