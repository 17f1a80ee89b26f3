package raftlog

import (
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
)

// Config says how a [Host] runs. Dir, Network and Self are required; a zero
// field elsewhere stands for the default in its comment.
type Config struct {
	// Self is this node.
	Self peer.NodeID
	// Dir holds the stores. It is created if it does not exist.
	Dir string
	// FS is the file system, vfs.Default if nil.
	FS vfs.FS
	// Network reaches the other nodes. Open sets its handlers.
	Network peer.Network
	// Logger, slog.Default() if nil.
	Logger *slog.Logger
	// OnFatal is called once, with the error that ended the node. In production
	// it ends the process and does not return. If it returns, the host stays
	// mute and [Host.Close] must still be called. The default logs and exits.
	OnFatal func(error)
	// TimeFsync hears how long each fsync of the stores took, from many goroutines at
	// a time. Nil: nobody wants to know.
	TimeFsync func(time.Duration)

	// HeartbeatTimeout is how long a follower waits for its leader (500 ms).
	HeartbeatTimeout time.Duration
	// ElectionTimeout is how long a candidate waits for votes (500 ms).
	ElectionTimeout time.Duration
	// LeaderLeaseTimeout is after how long without a majority a leader steps
	// down (500 ms). Safety does not depend on it.
	LeaderLeaseTimeout time.Duration
	// CommitTimeout is how often an idle leader tells its commit index (500 ms: it is for idle groups, a busy one tells it with each message).
	CommitTimeout time.Duration
	// MaxAppendEntries is how many entries one message carries (16).
	MaxAppendEntries int
	// RequestTimeout bounds every message between replicas (2 s).
	RequestTimeout time.Duration
	// StallTimeout is how long one write or fsync may take until the disk counts
	// as stalled, which is fatal (20 s).
	StallTimeout time.Duration

	// SnapshotLogBytes is how much log of one group makes a snapshot (64 MiB).
	SnapshotLogBytes int64
	// TrailingLogBytes is how much log of one group is kept behind a snapshot,
	// for followers that were away (32 MiB).
	TrailingLogBytes int64
	// TruncateEntries is the least number of entries removed at once (1000).
	TruncateEntries int
	// CacheBytes is the size of the block cache of both stores together (64 MiB).
	CacheBytes int64
	// MemTableBytes is the size of a memtable of either store (16 MiB).
	MemTableBytes int64
	// LogCacheBytes is how much of the newest log of one group is kept in memory
	// for followers and for apply (2 MiB).
	LogCacheBytes int64
	// HashInterval is every how many log indexes replicas compare their rolling
	// hashes (1024).
	HashInterval uint64
	// CompactAtOnce lets the stores compact whenever they want to, without the scheduler
	// that looks ten times a second: for simulated time, where an idle second should
	// cost next to nothing.
	CompactAtOnce bool

	// Faults plants bugs, for tests of the tests. Nil in production.
	Faults *Faults
}

// Faults are bugs on purpose: tests switch one on and must notice. No field may
// be changed after Open.
type Faults struct {
	// SkipEpochCheck applies every entry, whatever its epoch and sequence number.
	SkipEpochCheck bool
	// SkipSequenceCheck applies every entry of the epoch, also behind a gap.
	SkipSequenceCheck bool
	// AppliedOutsideBatch writes the applied record in a batch of its own, after
	// the state, and seldom.
	AppliedOutsideBatch bool
	// SkipFsync acknowledges log writes before they are on disk.
	SkipFsync bool
	// KeepIdentity gives a blank replica the identity, and so the vote, that it
	// had before it lost its disk, and takes a short log for a good one.
	KeepIdentity bool
	// AckBeforeCommit reports proposals as applied when they are proposed.
	AckBeforeCommit bool
	// SkipReadCheck makes every Confirm succeed.
	SkipReadCheck bool
	// WipeOnInstall installs every snapshot, also one that is older than the log.
	WipeOnInstall bool
	// RefuseProposal, if it returns true, loses this proposal as an enqueue
	// timeout of Raft would; the next one is accepted. This alone is no bug but
	// something that happens; with SkipEpochCheck it is one.
	RefuseProposal func(g GroupID, epoch, sequence uint64) bool
	// OfferSnapshot, if it returns true, makes a leader offer its newest snapshot to
	// a follower that did not need it when it was last heard of. This alone is no bug
	// but what a leader may do that knows little; with WipeOnInstall it is one.
	OfferSnapshot func(g GroupID) bool
}

var noFaults Faults

// withDefaults checks the configuration and fills in the defaults.
func (c Config) withDefaults() (Config, error) {
	if c.Self == "" || c.Dir == "" || c.Network == nil {
		return c, errors.New("raftlog: Config needs Self, Dir and Network")
	}
	return c.filled(), nil
}

// filled fills in the defaults.
func (c Config) filled() Config {
	if c.FS == nil {
		c.FS = vfs.Default
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.OnFatal == nil {
		log := c.Logger
		c.OnFatal = func(err error) {
			log.Error("node cannot go on", "err", err)
			os.Exit(7)
		}
	}
	if c.Faults == nil {
		c.Faults = &noFaults
	}
	def(&c.HeartbeatTimeout, 500*time.Millisecond)
	def(&c.ElectionTimeout, 500*time.Millisecond)
	def(&c.LeaderLeaseTimeout, 500*time.Millisecond)
	def(&c.CommitTimeout, 500*time.Millisecond)
	def(&c.MaxAppendEntries, 16)
	def(&c.RequestTimeout, 2*time.Second)
	def(&c.StallTimeout, 20*time.Second)
	def(&c.SnapshotLogBytes, 64<<20)
	def(&c.TrailingLogBytes, 32<<20)
	def(&c.TruncateEntries, 1000)
	def(&c.CacheBytes, 64<<20)
	def(&c.MemTableBytes, 16<<20)
	def(&c.LogCacheBytes, 2<<20)
	def(&c.HashInterval, 1024)
	return c
}

func def[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
