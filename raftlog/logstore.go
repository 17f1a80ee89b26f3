package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// logStore is the Pebble that holds the logs, terms and votes of all groups.
// Writes of several groups that are under way together share an fsync.
type logStore struct {
	db    *pebble.DB
	marks *marks
	fatal func(error)
	sync  *pebble.WriteOptions
}

const rowVersion = 1

// commit writes a batch and syncs it. An error is fatal.
func (s *logStore) commit(b *pebble.Batch) error {
	if err := b.Commit(s.sync); err != nil {
		err = fmt.Errorf("commit to the log store: %w", err)
		s.fatal(err)
		return err
	}
	return nil
}

// discard removes the rows from start up to end, which nobody reads any more. Their
// files go at once: under a tombstone of a range they would stay until a compaction,
// and in level 0, where a log lives, Pebble deletes nothing early (pebble#1793). While
// a compaction or a flush runs, a tombstone has to do: an excise would cancel it, and a
// store under load might never finish one. The next excise of the group takes what is
// left, if start is the beginning of its log. An error is fatal.
func (s *logStore) discard(start, end []byte) error {
	if m := s.db.Metrics(); m.Compact.NumInProgress > 0 || m.Flush.NumInProgress > 0 {
		b := s.db.NewBatch()
		defer b.Close()
		if err := b.DeleteRange(start, end, nil); err != nil {
			return err
		}
		return s.commit(b)
	}
	err := s.db.Excise(context.Background(), pebble.KeyRange{Start: start, End: end})
	if err != nil {
		err = fmt.Errorf("remove rows of the log store: %w", err)
		s.fatal(err)
	}
	return err
}

// get reads a row; nil if there is none.
func (s *logStore) get(key []byte) ([]byte, error) {
	value, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read log store: %w", err)
	}
	defer closer.Close()
	return append([]byte{}, value...), nil
}

// groups returns the groups that have rows.
func (s *logStore) groups() ([]GroupID, error) {
	it, err := s.db.NewIter(nil)
	if err != nil {
		return nil, fmt.Errorf("read log store: %w", err)
	}
	groups, err := groupsOf(it)
	return groups, errors.Join(err, it.Close())
}

// groupsOf collects the groups whose keys an iterator meets.
func groupsOf(it *pebble.Iterator) ([]GroupID, error) {
	var groups []GroupID
	for ok := it.First(); ok; {
		if len(it.Key()) < 4 {
			return nil, fmt.Errorf("foreign key %x", it.Key())
		}
		g := GroupID(binary.BigEndian.Uint32(it.Key()))
		groups = append(groups, g)
		ok = it.SeekGE(groupEnd(g))
	}
	return groups, it.Error()
}

// identity returns the server ID of a group's replica, "" if it has none.
func (s *logStore) identity(g GroupID) (ServerID, error) {
	value, err := s.get(rowKey(g, rowIdentity))
	if err != nil || value == nil {
		return "", err
	}
	if value[0] > rowVersion {
		return "", fmt.Errorf("identity of group %d has version %d: %w", g, value[0], ErrNewerFormat)
	}
	return ServerID(value[1:]), nil
}

// create replaces whatever a group has by a blank replica, durably. The mark
// follows the log store: a mark of another server ID says nothing.
func (s *logStore) create(g GroupID, id ServerID) error {
	b := s.db.NewBatch()
	defer b.Close()
	err := errors.Join(
		b.DeleteRange(groupStart(g), groupEnd(g), nil),
		b.Set(rowKey(g, rowIdentity), append([]byte{rowVersion}, id...), nil),
	)
	if err == nil {
		err = s.commit(b)
	}
	if err == nil {
		err = s.marks.update(g, func(k *mark) { *k = mark{server: id} })
	}
	if err != nil {
		return fmt.Errorf("create replica of group %d: %w", g, err)
	}
	return nil
}

// remove deletes all rows of a group, durably.
func (s *logStore) remove(g GroupID) error {
	b := s.db.NewBatch()
	defer b.Close()
	server, err := s.identity(g)
	if err == nil {
		err = b.DeleteRange(groupStart(g), groupEnd(g), nil)
	}
	if err == nil {
		err = s.commit(b)
	}
	if err == nil {
		err = s.marks.remove(g, server)
	}
	if err != nil {
		return fmt.Errorf("remove replica of group %d: %w", g, err)
	}
	return nil
}

// An entry's value is version (1), type (1), term (8), time of the append in
// nanoseconds (8), and the data.
const entryValueHeader = 1 + 1 + 8 + 8

func putEntryValue(v []byte, l *raft.Log) {
	v[0], v[1] = rowVersion, byte(l.Type)
	binary.BigEndian.PutUint64(v[2:], l.Term)
	binary.BigEndian.PutUint64(v[10:], unixNanos(l.AppendedAt))
	copy(v[entryValueHeader:], l.Data)
}

func decodeEntryValue(index uint64, v []byte, l *raft.Log) error {
	if len(v) < entryValueHeader {
		return fmt.Errorf("entry %d has %d bytes", index, len(v))
	}
	if v[0] != rowVersion {
		return fmt.Errorf("entry %d has version %d: %w", index, v[0], ErrNewerFormat)
	}
	*l = raft.Log{
		Index:      index,
		Type:       raft.LogType(v[1]),
		Term:       binary.BigEndian.Uint64(v[2:]),
		AppendedAt: fromUnixNanos(binary.BigEndian.Uint64(v[10:])),
		Data:       append([]byte{}, v[entryValueHeader:]...),
	}
	return nil
}

// A snapshot's row is version (1), index, term, index of the configuration (8
// each) and the configuration as Raft encodes it.
func encodeSnapshotRow(m *raft.SnapshotMeta) []byte {
	b := []byte{rowVersion}
	b = binary.BigEndian.AppendUint64(b, m.Index)
	b = binary.BigEndian.AppendUint64(b, m.Term)
	b = binary.BigEndian.AppendUint64(b, m.ConfigurationIndex)
	return append(b, raft.EncodeConfiguration(m.Configuration)...)
}

func decodeSnapshotRow(b []byte) (m *raft.SnapshotMeta, err error) {
	if len(b) < 25 || b[0] != rowVersion {
		return nil, fmt.Errorf("snapshot row has %d bytes or an unknown version", len(b))
	}
	// Raft's decoder panics on bad input.
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("configuration in snapshot row: %v", p)
		}
	}()
	m = &raft.SnapshotMeta{
		Version:            raft.SnapshotVersionMax,
		Index:              binary.BigEndian.Uint64(b[1:]),
		Term:               binary.BigEndian.Uint64(b[9:]),
		ConfigurationIndex: binary.BigEndian.Uint64(b[17:]),
		Configuration:      raft.DecodeConfiguration(b[25:]),
	}
	m.ID = fmt.Sprintf("%d-%d", m.Term, m.Index)
	return m, nil
}
