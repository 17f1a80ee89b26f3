package raftlog

import (
	"context"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/internal/peer"
)

// Host owns the disk of a node and runs its replicas. It is safe for concurrent
// use.
type Host struct{}

// Open opens the stores of a node, or makes them. Replicas that are damaged are
// wiped and get a new identity; on a node that holds the only voter of a group
// that is refused. Errors: ErrLocked, ErrNewerFormat, ErrCorrupt.
func Open(cfg Config) (*Host, error) { panic("not written") }

// Groups returns the groups of which this node has a replica, in order.
func (h *Host) Groups() []GroupID { panic("not written") }

// Create makes this node's replica of a group, or returns the identity of the
// one that exists. A new replica is blank and has no vote until it is added. It
// is durable when Create returns.
func (h *Host) Create(g GroupID) (ServerID, error) { panic("not written") }

// Bootstrap gives an empty replica the first configuration of its group. Every
// node of the configuration bootstraps with the same one. ErrNotEmpty if the
// replica has a log.
func (h *Host) Bootstrap(g GroupID, servers []ServerID) error { panic("not written") }

// Start starts a replica. lead runs for each reign of this replica: its context
// ends with the reign, and the next one begins only after lead has returned.
func (h *Host) Start(g GroupID, lead func(ctx context.Context, r *Reign)) (*Group, error) {
	panic("not written")
}

// Remove stops a replica and wipes its data.
func (h *Host) Remove(g GroupID) error { panic("not written") }

// NodeLost hints that the process of a node is gone. Followers of a leader there
// ask the other voters and call an election at once if a majority agrees. It
// does not block.
func (h *Host) NodeLost(n peer.NodeID) { panic("not written") }

// Close stops all groups and closes the stores. Readers of the state must have
// ended.
func (h *Host) Close() error { panic("not written") }

// Fsyncs returns how many fsyncs the stores have done since Open.
func (h *Host) Fsyncs() uint64 { panic("not written") }

// StaleRejected returns how many entries were refused at apply since Open.
func (h *Host) StaleRejected() uint64 { panic("not written") }

// Group is a running replica. It is safe for concurrent use, and stays usable
// while a snapshot is installed, which restarts the Raft below it.
type Group struct{}

// Server is a member of a group.
type Server struct {
	ID    ServerID
	Voter bool
}

// ID returns the group's ID.
func (g *Group) ID() GroupID { panic("not written") }

// Server returns this replica's identity.
func (g *Group) Server() ServerID { panic("not written") }

// Configuration returns the newest configuration that this replica knows,
// committed or not.
func (g *Group) Configuration() []Server { panic("not written") }

// AddNonvoter adds a replica without a vote. Like all changes of the
// configuration it returns when the change is committed. ErrNotLeader.
func (g *Group) AddNonvoter(ctx context.Context, id ServerID) error { panic("not written") }

// AddVoter adds a replica with a vote, or gives a vote to one that has none.
func (g *Group) AddVoter(ctx context.Context, id ServerID) error { panic("not written") }

// RemoveServer removes a replica from the group.
func (g *Group) RemoveServer(ctx context.Context, id ServerID) error { panic("not written") }

// TransferLeadership hands leadership to another voter.
func (g *Group) TransferLeadership(ctx context.Context, to ServerID) error { panic("not written") }

// Leader returns the leader that this replica knows, "" if none, and its term.
func (g *Group) Leader() (ServerID, uint64) { panic("not written") }

// CaughtUp reports, on the leader, whether a replica holds nearly all of the
// log, so that it may get a vote.
func (g *Group) CaughtUp(id ServerID) bool { panic("not written") }

// State reads the state store: what this replica has applied.
func (g *Group) State() pebble.Reader { panic("not written") }

// Stats describes a replica for people and metrics.
type Stats struct {
	Group       GroupID
	Server      ServerID
	Role        string // leader, candidate, follower, restarting, quarantined, stopped
	Term        uint64
	Leader      ServerID
	Epoch       uint64
	Sequence    uint64
	Applied     uint64 // newest log index that is in the state
	Commit      uint64
	FirstIndex  uint64 // of the log
	LastIndex   uint64
	Snapshot    uint64 // index of the snapshot
	LogBytes    int64  // about
	Stale       uint64 // entries refused at apply since the start
	Installs    uint64 // snapshots installed since the start
	Quarantined string // why, or empty
	Servers     []Server
}

// Stats returns the replica's figures.
func (g *Group) Stats() Stats { panic("not written") }

// Reign is the time from the moment when this replica's Open was applied until
// leadership is lost or one of its entries is refused. It implements leader.Log
// of package partition/leader.
type Reign struct{}

// Epoch identifies the reign; epochs of a group rise.
func (r *Reign) Epoch() uint64 { panic("not written") }

// Propose hands over the Repr of a Pebble batch and returns its sequence number.
// Every key must begin with the group's ID and have a table byte other than 0.
// It does not wait. One goroutine calls it. An error ends the reign.
func (r *Reign) Propose(batch []byte) (uint64, error) { panic("not written") }

// Applied returns the sequence number of the newest entry of this reign that was
// applied here.
func (r *Reign) Applied() uint64 { panic("not written") }

// Advanced is signalled, coalesced, whenever Applied rose.
func (r *Reign) Advanced() <-chan struct{} { panic("not written") }

// State reads what was applied.
func (r *Reign) State() pebble.Reader { panic("not written") }

// Confirm returns nil only if, at some moment after the call began, this replica
// led the group in this reign.
func (r *Reign) Confirm(ctx context.Context) error { panic("not written") }
