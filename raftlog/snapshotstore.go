package raftlog

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// snapshotStore is the raft.SnapshotStore of a group. There is one snapshot at
// most, and it is a row of metadata in the log store: its content is the state
// store, which holds at least what the metadata says, durably.
type snapshotStore struct{ group *Group }

// Create implements raft.SnapshotStore.
func (s snapshotStore) Create(version raft.SnapshotVersion, index, term uint64, configuration raft.Configuration, configurationIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &snapshotSink{group: s.group, meta: raft.SnapshotMeta{
		Version: version, ID: fmt.Sprintf("%d-%d", term, index), Index: index, Term: term,
		Configuration: configuration, ConfigurationIndex: configurationIndex,
	}}, nil
}

// List implements raft.SnapshotStore.
func (s snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	s.group.log.mu.RLock()
	defer s.group.log.mu.RUnlock()
	if s.group.log.snapshot == nil {
		return nil, nil
	}
	m := *s.group.log.snapshot
	return []*raft.SnapshotMeta{&m}, nil
}

// Open implements raft.SnapshotStore. The reader is empty: the transport reads
// the state store itself.
func (s snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	list, err := s.List()
	if err != nil || len(list) == 0 || list[0].ID != id {
		return nil, nil, fmt.Errorf("snapshot %s of group %d is gone", id, s.group.id)
	}
	return list[0], io.NopCloser(bytes.NewReader(nil)), nil
}

// snapshotSink implements raft.SnapshotSink.
type snapshotSink struct {
	group     *Group
	meta      raft.SnapshotMeta
	cancelled atomic.Bool
}

// Write implements raft.SnapshotSink. Nothing is written.
func (s *snapshotSink) Write(b []byte) (int, error) { return len(b), nil }

// ID implements raft.SnapshotSink.
func (s *snapshotSink) ID() string { return s.meta.ID }

// Cancel implements raft.SnapshotSink.
func (s *snapshotSink) Cancel() error {
	s.cancelled.Store(true)
	return nil
}

// Close implements raft.SnapshotSink. The state is durable by now.
func (s *snapshotSink) Close() error {
	if s.cancelled.Load() {
		return nil
	}
	return s.group.log.storeSnapshot(&s.meta)
}

// metaSnapshot implements raft.FSMSnapshot.
type metaSnapshot struct{ group *Group }

// Persist implements raft.FSMSnapshot: it waits for a flush of the state store
// that covers everything applied before the snapshot was taken.
func (s *metaSnapshot) Persist(sink raft.SnapshotSink) error {
	if err := s.group.host.flusher.flush(); err != nil {
		return err
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (s *metaSnapshot) Release() {}

// storeSnapshot makes the metadata of a snapshot durable.
func (l *groupLog) storeSnapshot(m *raft.SnapshotMeta) error {
	if l.failed() {
		return ErrClosed
	}
	b := l.store.db.NewBatch()
	defer b.Close()
	if err := b.Set(rowKey(l.group, rowSnapshot), encodeSnapshotRow(m), nil); err != nil {
		return err
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	l.mu.Lock()
	l.snapshot = m
	l.mu.Unlock()
	return nil
}
