package raftlog

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// machine applies the log of one replica to the state store. It implements
// raft.BatchingFSM. Raft's one apply goroutine calls ApplyBatch; the rest may be
// called by any.
type machine struct {
	group *Group
	db    *pebble.DB

	batches uint64 // for a planted bug; only ApplyBatch uses it

	mu    sync.Mutex // guards the fields below
	rec   record
	stale uint64
	// pending waits for its Open; reign is the one that this replica leads, nil
	// if it does not.
	pending *pendingOpen
	reign   *Reign
}

// pendingOpen is an Open that was proposed and not applied yet.
type pendingOpen struct {
	nonce  nonce
	opened chan opening // capacity 1
}

// opening is what an applied Open yields.
type opening struct{ epoch, term uint64 }

func newMachine(g *Group) (*machine, error) {
	rec, err := readRecord(g.host.state, g.id)
	if err != nil {
		return nil, err
	}
	return &machine{group: g, db: g.host.state, rec: rec}, nil
}

// record returns what was applied.
func (m *machine) record() record {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rec
}

// reload reads the record again, after a snapshot was ingested. Raft is stopped.
func (m *machine) reload() error {
	rec, err := readRecord(m.db, m.group.id)
	if err != nil {
		return err
	}
	m.mu.Lock()
	m.rec = rec
	m.mu.Unlock()
	return nil
}

// expect announces an Open that is about to be proposed.
func (m *machine) expect(n nonce) *pendingOpen {
	p := &pendingOpen{nonce: n, opened: make(chan opening, 1)}
	m.mu.Lock()
	m.pending = p
	m.mu.Unlock()
	return p
}

// setReign says which reign hears of its entries; nil for none.
func (m *machine) setReign(r *Reign) {
	m.mu.Lock()
	m.pending, m.reign = nil, r
	m.mu.Unlock()
}

// currentReign returns the reign that this replica leads, nil if it does not.
func (m *machine) currentReign() *Reign {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.reign
}

// Apply implements raft.FSM. Raft calls ApplyBatch instead.
func (m *machine) Apply(l *raft.Log) any { return m.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch implements raft.BatchingFSM: one batch of the state store for many
// entries. Nothing is answered here: effects are matched by epoch and sequence
// number, not by futures.
func (m *machine) ApplyBatch(logs []*raft.Log) []any {
	if !m.group.host.failed() {
		if err := m.apply(logs); err != nil {
			m.group.host.fatal(fmt.Errorf("apply log of group %d: %w", m.group.id, err))
		}
	}
	return make([]any, len(logs))
}

// applying is the result of a run of entries, before it is visible.
type applying struct {
	rec    record
	batch  *pebble.Batch
	opens  []openApplied
	fates  []fate
	hashes []checkpoint
}

type openApplied struct {
	nonce nonce
	opening
}

// fate is what became of a write.
type fate struct {
	epoch, sequence uint64
	accepted        bool
}

func (m *machine) apply(logs []*raft.Log) error {
	a := applying{rec: m.record(), batch: m.db.NewBatch()}
	defer a.batch.Close()
	before := a.rec.applied
	for _, l := range logs {
		if l.Index <= a.rec.applied {
			continue // in the state already; replayed after a restart
		}
		if every := m.group.host.cfg.HashInterval; l.Index/every > a.rec.applied/every {
			a.hashes = append(a.hashes, checkpoint{boundary: l.Index / every * every, hash: a.rec.hash})
		}
		switch l.Type {
		case raft.LogCommand:
			if err := m.applyCommand(&a, l); err != nil {
				return fmt.Errorf("entry %d: %w", l.Index, err)
			}
		case raft.LogConfiguration:
			m.group.configurationApplied(raft.DecodeConfiguration(l.Data))
		}
		a.rec.applied = l.Index
	}
	if a.rec.applied == before {
		return nil
	}
	if err := m.commit(&a); err != nil {
		return err
	}
	m.publish(&a)
	return nil
}

// applyCommand applies one entry to the batch. What it does depends on the entry
// and the record alone, so it is the same on every replica.
func (m *machine) applyCommand(a *applying, l *raft.Log) error {
	e, err := decodeEntry(l.Data)
	if err != nil {
		return err
	}
	a.rec.hash = rollHash(a.rec.hash, l.Index, l.Term, l.Data)
	switch e.kind {
	case kindOpen:
		// The index, except after a recovery, which raised the epoch above it.
		a.rec.epoch, a.rec.sequence = max(l.Index, a.rec.epoch+1), 0
		a.opens = append(a.opens, openApplied{e.nonce, opening{epoch: a.rec.epoch, term: l.Term}})
		return nil
	case kindRecover:
		a.rec.epoch, a.rec.sequence = max(l.Index, a.rec.epoch)+e.step, 0
		return nil
	}
	accepted := m.accepts(a.rec, e)
	a.fates = append(a.fates, fate{e.epoch, e.sequence, accepted})
	if !accepted {
		return nil
	}
	var writes pebble.Batch
	if err := writes.SetRepr(e.batch); err != nil {
		return fmt.Errorf("read batch: %w", err)
	}
	if writes.Empty() {
		a.rec.sequence = e.sequence
		return nil
	}
	if err := a.batch.Apply(&writes, nil); err != nil {
		return fmt.Errorf("take in batch: %w", err)
	}
	a.rec.sequence = e.sequence
	return nil
}

// accepts is the rule of epochs and sequence numbers, unless a bug is planted.
func (m *machine) accepts(rec record, e entry) bool {
	faults := m.group.host.cfg.Faults
	return (e.epoch == rec.epoch || faults.SkipEpochCheck) &&
		(e.sequence == rec.sequence+1 || faults.SkipEpochCheck || faults.SkipSequenceCheck)
}

func (m *machine) commit(a *applying) error {
	if m.group.host.cfg.Faults.AppliedOutsideBatch {
		if err := m.commitRecordFirst(a); err != nil {
			return err
		}
	} else if err := a.batch.Set(recordKey(m.group.id), a.rec.encode(), nil); err != nil {
		return err
	}
	if err := a.batch.Commit(pebble.NoSync); err != nil {
		return fmt.Errorf("commit state: %w", err)
	}
	return nil
}

// commitRecordFirst is the planted bug of an applied index outside the batch.
func (m *machine) commitRecordFirst(a *applying) error {
	if err := m.db.Set(recordKey(m.group.id), a.rec.encode(), pebble.NoSync); err != nil {
		return err
	}
	if m.batches++; m.batches%16 == 0 {
		_, err := m.db.AsyncFlush()
		return err
	}
	return nil
}

// publish makes the result known: to the reign, to those who wait for an Open,
// and to the comparison of hashes.
func (m *machine) publish(a *applying) {
	m.mu.Lock()
	m.rec = a.rec
	reign, pending := m.reign, m.pending
	for _, o := range a.opens {
		if pending != nil && o.nonce == pending.nonce {
			pending.opened <- o.opening
			m.pending = nil
		}
	}
	refused := uint64(0)
	var newest uint64
	lost := false
	for _, f := range a.fates {
		mine := reign != nil && f.epoch == reign.epoch
		switch {
		case f.accepted && mine:
			newest = f.sequence
		case !f.accepted:
			refused++
			lost = lost || mine
		}
	}
	m.stale += refused
	m.mu.Unlock()
	m.group.host.stale.Add(refused)
	if newest > 0 {
		reign.advance(newest)
	}
	if lost {
		reign.end(errRefused)
	}
	if len(a.hashes) > 0 {
		m.group.divergence.reached(a.hashes)
	}
}

// errRefused ends a reign of which an entry was refused at apply.
var errRefused = errors.New("an entry of the reign was refused")

// Snapshot implements raft.FSM. There is nothing to copy: a snapshot is its
// metadata and a flush that covers it.
func (m *machine) Snapshot() (raft.FSMSnapshot, error) { return &metaSnapshot{m.group}, nil }

// Restore implements raft.FSM. It is never called: the state is always there, and
// snapshots of others are ingested while Raft is stopped.
func (m *machine) Restore(r io.ReadCloser) error {
	return errors.Join(errors.New("snapshots are not restored through Raft"), r.Close())
}
