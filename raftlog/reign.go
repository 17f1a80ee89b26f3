package raftlog

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// maxQueuedProposals bounds the proposals that Raft has not taken yet. A leader
// keeps a few in flight; one that runs into the bound has lost its reign.
const maxQueuedProposals = 256

var errFlood = errors.New("too many proposals are waiting for the log")

// Reign is the time from the moment when this replica's Open was applied until
// leadership is lost or one of its entries is refused. It implements leader.Log
// of package partition/leader.
type Reign struct {
	group    *Group
	epoch    uint64
	term     uint64
	queue    chan proposal
	advanced chan struct{} // capacity 1

	over chan struct{} // closed when the reign has ended

	// turn (capacity 1) is held while a proposal is handed to Raft, and by a
	// transfer of leadership; it guards handed, the newest one handed over.
	turn   chan struct{}
	handed uint64

	mu       sync.Mutex // guards the fields below
	proposed uint64     // newest sequence number
	applied  uint64
	cause    error // why the reign ended
}

type proposal struct {
	sequence uint64
	command  []byte
}

func newReign(g *Group, o opening) *Reign {
	return &Reign{
		group:    g,
		epoch:    o.epoch,
		term:     o.term,
		queue:    make(chan proposal, maxQueuedProposals),
		advanced: make(chan struct{}, 1),
		over:     make(chan struct{}),
		turn:     make(chan struct{}, 1),
	}
}

// Epoch identifies the reign; epochs of a group rise.
func (r *Reign) Epoch() uint64 { return r.epoch }

// Propose hands over the Repr of a Pebble batch and returns its sequence number.
// Every key must begin with the group's ID and have a table byte other than 0.
// It does not wait. One goroutine calls it. An error ends the reign.
func (r *Reign) Propose(batch []byte) (uint64, error) {
	if err := checkBatch(r.group.id, batch); err != nil {
		r.end(err)
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cause != nil {
		return 0, ErrReignOver
	}
	sequence := r.proposed + 1
	select {
	case r.queue <- proposal{sequence, encodeWrite(r.epoch, sequence, batch)}:
	default:
		r.endLocked(errFlood)
		return 0, errFlood
	}
	r.proposed = sequence
	if r.group.host.cfg.Faults.AckBeforeCommit {
		r.applied = sequence
		r.signal()
	}
	return sequence, nil
}

// Applied returns the sequence number of the newest entry of this reign that was
// applied here.
func (r *Reign) Applied() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.applied
}

// Advanced is signalled, coalesced, whenever Applied rose.
func (r *Reign) Advanced() <-chan struct{} { return r.advanced }

// State reads what was applied.
func (r *Reign) State() pebble.Reader { return r.group.host.state }

// Confirm returns nil only if, at some moment after the call began, this replica
// led the group in this reign. Any goroutine may call it.
func (r *Reign) Confirm(ctx context.Context) error {
	if r.group.host.cfg.Faults.SkipReadCheck {
		return nil
	}
	return r.group.host.confirms.confirm(ctx, r)
}

// open reports whether the reign goes on as far as this replica knows.
func (r *Reign) open() bool {
	r.mu.Lock()
	over := r.cause != nil
	r.mu.Unlock()
	return !over && !r.group.host.failed() && r.group.machine.record().epoch == r.epoch
}

// advance notes that entries up to a sequence number were applied.
func (r *Reign) advance(sequence uint64) {
	r.mu.Lock()
	if sequence > r.applied {
		r.applied = sequence
	}
	r.mu.Unlock()
	r.signal()
}

func (r *Reign) signal() {
	select {
	case r.advanced <- struct{}{}:
	default:
	}
}

// end ends the reign. The first cause counts.
func (r *Reign) end(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.endLocked(cause)
}

func (r *Reign) endLocked(cause error) {
	if r.cause == nil {
		r.cause = cause
		close(r.over)
	}
}

// lateRefusal is when the reign hears of a proposal that a fault has refused.
const lateRefusal = 50 * time.Millisecond

// propose hands the queue to Raft, in order, and the futures to watch. It runs
// on a goroutine of its own, until the reign is over.
func (r *Reign) propose(inc *incarnation, futures chan<- raft.ApplyFuture) {
	defer close(futures)
	refuse := r.group.host.cfg.Faults.RefuseProposal
	for {
		select {
		case <-r.over:
			return
		case p := <-r.queue:
			if refuse != nil && refuse(r.group.id, r.epoch, p.sequence) {
				// The answer comes late, when the next ones are on their way.
				time.AfterFunc(lateRefusal, func() { r.end(raft.ErrEnqueueTimeout) })
				continue
			}
			if !r.pause(inc.ctx) {
				return
			}
			future := inc.apply(p.command)
			r.handed = p.sequence
			r.resume()
			futures <- future
		}
	}
}

// watch ends the reign when Raft refuses a proposal. What it accepts says
// nothing: that is for apply.
func (r *Reign) watch(futures <-chan raft.ApplyFuture) {
	for f := range futures {
		if err := f.Error(); err != nil {
			r.end(err)
		}
	}
}
