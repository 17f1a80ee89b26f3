package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// installs is what a replica knows of snapshots under way.
type installs struct {
	count atomic.Uint64 // installed since the start

	sending sync.Mutex // guards senders; held by truncation
	senders int        // snapshots being sent to followers

	mu       sync.Mutex // guards the fields below
	incoming *incoming  // nil: none
	aborted  bool
}

// abort ends the snapshot that is being received, and refuses later ones. It
// waits until an install that has begun is complete.
func (i *installs) abort() {
	i.mu.Lock()
	i.aborted = true
	in := i.incoming
	i.mu.Unlock()
	if in != nil {
		in.cancel()
		<-in.done
	}
}

// offer is the metadata of a snapshot that a leader wants to send.
type offer struct {
	transfer           uint64 // random, names the stream
	term               uint64 // of the leader
	index, indexTerm   uint64 // of the snapshot
	configurationIndex uint64
	configuration      []byte
}

// verdict is what a replica says to an offer, or to the end of a stream.
type verdict struct {
	// want: send it. Otherwise the replica either holds everything up to the
	// snapshot's index (has), or refuses for good.
	want, has bool
	term      uint64 // of the replica
}

func encodeOffer(f frame, o offer) []byte {
	b := f.begin(64 + len(o.configuration))
	for _, v := range []uint64{o.transfer, o.term, o.index, o.indexTerm, o.configurationIndex} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return seal(appendBytes(b, o.configuration))
}

func decodeOffer(d decoder) (offer, error) {
	o := offer{d.uint64(), d.uint64(), d.uint64(), d.uint64(), d.uint64(), d.bytes(maxConfigBytes)}
	return o, d.end()
}

func encodeVerdict(v verdict) []byte {
	b := appendBool(appendBool([]byte{wireVersion}, v.want), v.has)
	return seal(binary.BigEndian.AppendUint64(b, v.term))
}

func decodeVerdict(b []byte) (verdict, error) {
	body, err := unseal(b)
	if err != nil {
		return verdict{}, err
	}
	d := decoder{b: body}
	v := verdict{want: d.bool(), has: d.bool(), term: d.uint64()}
	return v, d.end()
}

// judge says whether a snapshot is of use. A replica that holds the snapshot's
// last entry, in the same term, holds everything before it too, and perhaps
// entries after it that it has acknowledged: an install would wipe those. A
// replica that holds another entry there has a tail that was never committed.
func (l *groupLog) judge(o offer, anyway bool) verdict {
	l.mu.RLock()
	v := verdict{term: l.term}
	covered := l.snapshot != nil && l.snapshot.Index >= o.index
	held := l.held()
	l.mu.RUnlock()
	if o.term < v.term {
		return v
	}
	if anyway {
		v.want = true
		return v
	}
	var at raft.Log
	switch {
	case covered:
		v.has = true
	case held >= o.index:
		v.has = l.GetLog(o.index, &at) == nil && at.Term == o.indexTerm
		v.want = !v.has
	default:
		v.want = true
	}
	return v
}

// install replaces the replica's log by a snapshot that was received in whole,
// and its state if the snapshot's is newer. Raft is stopped meanwhile and frames
// are refused.
//
// After a crash at any point the replica is whole: the state is ingested first,
// with its record, so that entries which it contains are skipped; then metadata
// and an empty log are written in one batch. Term and vote stay.
func (g *Group) install(o offer, files []string, applied uint64) (verdict, error) {
	g.lifecycle <- struct{}{}
	defer func() { <-g.lifecycle }()
	g.mu.Lock()
	inc := g.current
	g.current = nil
	g.mu.Unlock()
	if inc == nil {
		return verdict{}, errFrameRefused
	}
	inc.stop()
	v, err := g.replace(o, files, applied)
	if err != nil && !errors.Is(err, ErrClosed) {
		g.host.fatal(fmt.Errorf("install snapshot of group %d: %w", g.id, err))
	}
	next, startErr := startIncarnation(g)
	if startErr != nil {
		g.host.fatal(fmt.Errorf("start group %d after a snapshot: %w", g.id, startErr))
		return verdict{}, errors.Join(err, startErr)
	}
	g.configurationApplied(next.raft.GetConfiguration().Configuration())
	g.mu.Lock()
	g.current = next
	g.mu.Unlock()
	return v, err
}

func (g *Group) replace(o offer, files []string, applied uint64) (verdict, error) {
	h := g.host
	if h.failed() {
		return verdict{}, ErrClosed
	}
	// Once more: the replica may have got further while the stream came in.
	v := g.log.judge(o, h.cfg.Faults.WipeOnInstall)
	if !v.want {
		return v, nil
	}
	configuration, err := decodeConfiguration(o.configuration)
	if err != nil {
		return v, err
	}
	if err := g.log.markIngest(applied); err != nil {
		return v, err
	}
	if applied > g.machine.record().applied {
		if err := h.ingest(g.id, files); err != nil {
			return v, err
		}
		if err := g.machine.reload(); err != nil {
			return v, err
		}
	}
	err = g.log.reset(&raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: fmt.Sprintf("%d-%d", o.indexTerm, o.index),
		Index: o.index, Term: o.indexTerm,
		Configuration: configuration, ConfigurationIndex: o.configurationIndex,
	})
	if err != nil {
		return v, err
	}
	g.installs.count.Add(1)
	h.cfg.Logger.Info("snapshot installed", "group", g.id, "index", o.index, "applied", g.machine.record().applied)
	return verdict{has: true, term: v.term}, nil
}

// ingest replaces the state of a group by files, durably and at once. The lock
// keeps it apart from the start of streams (pebble#6085).
func (h *Host) ingest(g GroupID, files []string) error {
	h.streams <- struct{}{}
	defer func() { <-h.streams }()
	span := pebble.KeyRange{Start: groupStart(g), End: groupEnd(g)}
	if _, err := h.state.IngestAndExcise(context.Background(), files, nil, nil, span); err != nil {
		return fmt.Errorf("ingest: %w", err)
	}
	// An ingest that met newer writes in memory may sit behind them.
	if err := h.state.Flush(); err != nil {
		return fmt.Errorf("flush after ingest: %w", err)
	}
	return nil
}

// markIngest notes durably that the state may reach an index that the log does
// not have yet. Otherwise such a state means that the log was shortened.
func (l *groupLog) markIngest(applied uint64) error {
	b := l.store.db.NewBatch()
	defer b.Close()
	row := binary.BigEndian.AppendUint64([]byte{rowVersion}, applied)
	if err := b.Set(rowKey(l.group, rowIngested), row, nil); err != nil {
		return err
	}
	return l.store.commit(b)
}

// reset writes the metadata of an installed snapshot and an empty log, in one
// batch.
func (l *groupLog) reset(m *raft.SnapshotMeta) error {
	b := l.store.db.NewBatch()
	defer b.Close()
	err := errors.Join(
		b.DeleteRange(rowKey(l.group, rowEntry), rowKey(l.group, rowEntry+1), nil),
		b.Set(rowKey(l.group, rowSnapshot), encodeSnapshotRow(m), nil),
	)
	if err != nil {
		return err
	}
	// A log that is replaced by a snapshot of a lower index gets shorter.
	if k, _ := l.store.marks.get(l.group); k.last > m.Index {
		if err := l.store.marks.update(l.group, func(k *mark) { k.last = m.Index }); err != nil {
			return err
		}
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	l.mu.Lock()
	l.first, l.last, l.snapshot = 0, 0, m
	l.cache, l.sizes = logCache{}, logSizes{}
	l.mu.Unlock()
	l.store.marks.raise(l.group, m.Index)
	return nil
}

// decodeConfiguration reads a configuration from outside; Raft's decoder panics.
func decodeConfiguration(b []byte) (c raft.Configuration, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decode configuration: %v", p)
		}
	}()
	return raft.DecodeConfiguration(b), nil
}
