package cluster

import (
	"context"

	"github.com/reprise-run/reprise/internal/peer"
)

// Membership tells who is there. It is a hint, never truth: members may be told
// late, twice, or wrongly dead. It is safe for concurrent use.
type Membership interface {
	// Start makes this node known as self and begins to watch. changed is called
	// after the members or what they say of themselves changed; it does not block.
	// The seeds are contacted, again and again until one answers. An error is of
	// this node's own set-up, or [ErrOtherCluster] where a seed refused it.
	Start(ctx context.Context, self Member, seeds []string, changed func()) error
	// Members returns the members that are alive, this node included.
	Members() []Member
	// Update changes what this node says of itself.
	Update(self Member)
	// Leave says good-bye; the others need not suspect first.
	Leave(ctx context.Context) error
	// Close ends the watch. It waits for everything that Start started.
	Close() error
}

// Member is what a node says of itself. All of it together is at most 512 bytes
// in encoded form.
type Member struct {
	Name       peer.NodeID
	PeerAddr   string
	APIAddr    string
	GossipAddr string
	// Incarnation is another number in each process of the node.
	Incarnation uint64
	// Cluster is the ID of the node's cluster; empty where it has none yet.
	Cluster string
	// Layout is the version of the layout that the node knows.
	Layout uint64
	// Functions is a hash of the functions that the node binds.
	Functions uint64
	// Leaving is set while the node stops: it takes no new work.
	Leaving bool
}
