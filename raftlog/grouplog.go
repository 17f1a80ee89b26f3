package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"
)

// groupLog is the log, the term and the vote of one replica. It implements
// raft.LogStore and raft.StableStore, and remembers enough to answer questions
// about the replica without Raft's main loop. It is safe for concurrent use; only
// one goroutine writes at a time, which Raft and the group see to.
type groupLog struct {
	store    *logStore
	group    GroupID
	server   ServerID
	cacheMax int64
	failed   func() bool // the host is mute

	mu        sync.RWMutex // guards the fields below
	first     uint64       // 0: the log is empty
	last      uint64
	term      uint64
	voteTerm  uint64
	candidate []byte
	// pendingVote is the first half of a vote: Raft writes the term of a vote and
	// its candidate separately (raft#661). It is kept in memory until the second
	// half arrives, so that both are written together; between the two Raft's
	// main loop reads neither.
	pendingVote uint64
	snapshot    *raft.SnapshotMeta // nil: none
	// ingested is up to where the content of the newest snapshot reaches. It may
	// be newer than the snapshot's index, so the state may be ahead of the log by
	// so much.
	ingested uint64
	diverged string // why the replica was put into quarantine, or empty
	cache    logCache
	sizes    logSizes
}

var (
	keyTerm      = "CurrentTerm"
	keyVoteTerm  = "LastVoteTerm"
	keyVoteCand  = "LastVoteCand"
	errStableKey = errors.New("unknown key")
)

// openGroupLog reads what the log store has of a group.
func openGroupLog(s *logStore, g GroupID, cacheMax int64, failed func() bool) (*groupLog, error) {
	l := &groupLog{store: s, group: g, cacheMax: cacheMax, failed: failed}
	if err := l.load(); err != nil {
		return nil, fmt.Errorf("log of group %d: %w", g, err)
	}
	return l, nil
}

func (l *groupLog) load() error {
	server, err := l.store.identity(l.group)
	if err != nil {
		return err
	}
	if server == "" {
		return ErrUnknownGroup
	}
	l.server = server
	value, err := l.store.get(rowKey(l.group, rowTerm))
	if err != nil {
		return err
	}
	if value != nil {
		d := decoder{b: value}
		_, l.term = d.uint8(), d.uint64()
		if err := d.end(); err != nil {
			return fmt.Errorf("term: %w", err)
		}
	}
	if value, err = l.store.get(rowKey(l.group, rowVote)); err != nil {
		return err
	}
	if value != nil {
		d := decoder{b: value}
		_, l.voteTerm = d.uint8(), d.uint64()
		l.candidate = append([]byte{}, d.b...)
		if d.err != nil {
			return fmt.Errorf("vote: %w", d.err)
		}
	}
	if value, err = l.store.get(rowKey(l.group, rowSnapshot)); err != nil {
		return err
	}
	if value != nil {
		if l.snapshot, err = decodeSnapshotRow(value); err != nil {
			return err
		}
	}
	if value, err = l.store.get(rowKey(l.group, rowIngested)); err != nil {
		return err
	}
	if value != nil {
		d := decoder{b: value}
		_, l.ingested = d.uint8(), d.uint64()
		if err := d.end(); err != nil {
			return fmt.Errorf("ingest mark: %w", err)
		}
	}
	if value, err = l.store.get(rowKey(l.group, rowDiverged)); err != nil {
		return err
	}
	if len(value) > 0 {
		l.diverged = string(value[1:])
	}
	return l.loadBounds()
}

// markDiverged notes durably that the replica's state is wrong: the next Open
// replaces it. Without it, a restart would let it lead.
func (l *groupLog) markDiverged(reason string) error {
	b := l.store.db.NewBatch()
	defer b.Close()
	if err := b.Set(rowKey(l.group, rowDiverged), append([]byte{rowVersion}, reason...), nil); err != nil {
		return err
	}
	return l.store.commit(b)
}

// loadBounds finds the first and last entry.
func (l *groupLog) loadBounds() error {
	it, err := l.store.db.NewIter(&pebble.IterOptions{
		LowerBound: rowKey(l.group, rowEntry),
		UpperBound: rowKey(l.group, rowEntry+1),
	})
	if err != nil {
		return err
	}
	index := func() uint64 { return binary.BigEndian.Uint64(it.Key()[5:]) }
	if it.First() {
		l.first = index()
		it.Last()
		l.last = index()
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return err
	}
	if l.first > 0 {
		size, err := l.store.db.EstimateDiskUsage(entryKey(l.group, l.first), entryKey(l.group, l.last+1))
		if err != nil {
			return fmt.Errorf("estimate size: %w", err)
		}
		l.sizes.restore(l.first, l.last, int64(size))
	}
	return nil
}

// held returns the newest index that the replica holds, in its log or below its
// snapshot. Call with mu held.
func (l *groupLog) held() uint64 {
	if l.snapshot != nil {
		return max(l.last, l.snapshot.Index)
	}
	return l.last
}

// FirstIndex implements raft.LogStore.
func (l *groupLog) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.first, nil
}

// LastIndex implements raft.LogStore.
func (l *groupLog) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.last, nil
}

// GetLog implements raft.LogStore.
func (l *groupLog) GetLog(index uint64, log *raft.Log) error {
	l.mu.RLock()
	if index < l.first || index > l.last || index == 0 {
		l.mu.RUnlock()
		return raft.ErrLogNotFound
	}
	if cached := l.cache.get(index); cached != nil {
		*log = *cached
		l.mu.RUnlock()
		return nil
	}
	l.mu.RUnlock()
	value, closer, err := l.store.db.Get(entryKey(l.group, index))
	if errors.Is(err, pebble.ErrNotFound) {
		return raft.ErrLogNotFound // truncated meanwhile
	}
	if err == nil {
		err = errors.Join(decodeEntryValue(index, value, log), closer.Close())
	}
	if err != nil {
		err = fmt.Errorf("read entry %d of group %d: %w", index, l.group, err)
		l.store.fatal(err)
	}
	return err
}

// StoreLog implements raft.LogStore.
func (l *groupLog) StoreLog(log *raft.Log) error { return l.StoreLogs([]*raft.Log{log}) }

// StoreLogs implements raft.LogStore. The entries are on disk when it returns.
func (l *groupLog) StoreLogs(logs []*raft.Log) error {
	if l.failed() {
		return ErrClosed
	}
	if len(logs) == 0 {
		return nil
	}
	b := l.store.db.NewBatch()
	defer b.Close()
	for _, log := range logs {
		if len(log.Extensions) > 0 {
			return fmt.Errorf("entry %d of group %d has extensions, which nobody writes", log.Index, l.group)
		}
		op := b.SetDeferred(entryKeyBytes, entryValueHeader+len(log.Data))
		putEntryKey(op.Key, l.group, log.Index)
		putEntryValue(op.Value, log)
		if err := op.Finish(); err != nil {
			return err
		}
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	l.mu.Lock()
	for _, log := range logs {
		size := entryKeyBytes + entryValueHeader + len(log.Data)
		l.sizes.add(log.Index, int64(size))
		l.cache.add(log, int64(size), l.cacheMax)
	}
	if l.first == 0 {
		l.first = logs[0].Index
	}
	l.last = logs[len(logs)-1].Index
	last := l.held()
	l.mu.Unlock()
	l.store.marks.raise(l.group, last)
	return nil
}

// DeleteRange implements raft.LogStore. Raft calls it for a suffix that conflicts
// with the leader's log; prefixes are removed by [groupLog.truncate].
func (l *groupLog) DeleteRange(low, high uint64) error {
	if l.failed() {
		return ErrClosed
	}
	l.mu.RLock()
	first, last := l.first, l.last
	l.mu.RUnlock()
	if low <= first && high < last {
		return fmt.Errorf("entries %d to %d of group %d are a prefix of %d to %d: not to be removed by Raft", low, high, l.group, first, last)
	}
	// The mark first: after a crash in between, the log is longer than it says.
	err := l.store.marks.update(l.group, func(k *mark) { k.last = min(k.last, low-1) })
	if err != nil {
		l.store.fatal(err)
		return err
	}
	b := l.store.db.NewBatch()
	defer b.Close()
	if err := b.DeleteRange(entryKey(l.group, low), entryKey(l.group, high+1), nil); err != nil {
		return err
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cache.removeFrom(low)
	l.sizes.removeFrom(low)
	l.last = low - 1
	if l.last < l.first {
		l.first, l.last = 0, 0
	}
	return nil
}

// truncate removes the entries up to and including index.
func (l *groupLog) truncate(index uint64) error {
	l.mu.RLock()
	first, last := l.first, l.last
	l.mu.RUnlock()
	if l.failed() || first == 0 || index < first || index >= last {
		return nil
	}
	if err := l.store.discard(entryKey(l.group, 0), entryKey(l.group, index+1)); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cache.removeTo(index)
	l.sizes.removeTo(index)
	l.first = index + 1
	return nil
}

// Set implements raft.StableStore. Only a vote's candidate is written by it.
func (l *groupLog) Set(key, value []byte) error {
	if string(key) != keyVoteCand {
		return fmt.Errorf("store %q: %w", key, errStableKey)
	}
	if l.failed() {
		return ErrClosed
	}
	l.mu.RLock()
	term := l.pendingVote
	l.mu.RUnlock()
	if term == 0 {
		return errors.New("a candidate without the term of the vote")
	}
	b := l.store.db.NewBatch()
	defer b.Close()
	row := append(binary.BigEndian.AppendUint64([]byte{rowVersion}, term), value...)
	if err := b.Set(rowKey(l.group, rowVote), row, nil); err != nil {
		return err
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	err := l.store.marks.update(l.group, func(k *mark) { k.voteTerm, k.candidate = term, string(value) })
	if err != nil {
		l.store.fatal(err)
		return err
	}
	l.mu.Lock()
	l.voteTerm, l.candidate, l.pendingVote = term, append([]byte{}, value...), 0
	l.mu.Unlock()
	return nil
}

// Get implements raft.StableStore.
func (l *groupLog) Get(key []byte) ([]byte, error) {
	if string(key) != keyVoteCand {
		return nil, fmt.Errorf("load %q: %w", key, errStableKey)
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.candidate, nil
}

// SetUint64 implements raft.StableStore.
func (l *groupLog) SetUint64(key []byte, value uint64) error {
	switch string(key) {
	case keyVoteTerm:
		l.mu.Lock()
		l.pendingVote = value
		l.mu.Unlock()
		return nil
	case keyTerm:
		return l.setTerm(value)
	default:
		return fmt.Errorf("store %q: %w", key, errStableKey)
	}
}

// setTerm stores the current term. Raft panics if that fails; a host that has
// failed is mute and lets it live until it is closed.
func (l *groupLog) setTerm(term uint64) error {
	l.mu.RLock()
	same := term == l.term
	l.mu.RUnlock()
	if same || l.failed() {
		return nil
	}
	b := l.store.db.NewBatch()
	defer b.Close()
	row := binary.BigEndian.AppendUint64([]byte{rowVersion}, term)
	err := b.Set(rowKey(l.group, rowTerm), row, nil)
	if err == nil {
		err = l.store.commit(b)
	}
	if err == nil {
		err = l.store.marks.update(l.group, func(k *mark) { k.term = term })
	}
	if err != nil {
		l.store.fatal(err)
		return nil
	}
	l.mu.Lock()
	l.term = term
	l.mu.Unlock()
	return nil
}

// GetUint64 implements raft.StableStore.
func (l *groupLog) GetUint64(key []byte) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch string(key) {
	case keyTerm:
		return l.term, nil
	case keyVoteTerm:
		return l.voteTerm, nil
	default:
		return 0, fmt.Errorf("load %q: %w", key, errStableKey)
	}
}

// currentTerm returns the term without asking Raft.
func (l *groupLog) currentTerm() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.term
}

// bootstrap writes the first configuration in one synced batch. (Raft's own
// function writes term and entry apart: a crash in between leaves a replica
// that can be neither bootstrapped nor started.)
func (l *groupLog) bootstrap(configuration raft.Configuration) error {
	l.mu.RLock()
	empty := l.term == 0 && l.held() == 0
	l.mu.RUnlock()
	if !empty {
		return ErrNotEmpty
	}
	log := &raft.Log{Index: 1, Term: 1, Type: raft.LogConfiguration, Data: raft.EncodeConfiguration(configuration)}
	value := make([]byte, entryValueHeader+len(log.Data))
	putEntryValue(value, log)
	b := l.store.db.NewBatch()
	defer b.Close()
	err := errors.Join(
		b.Set(rowKey(l.group, rowTerm), binary.BigEndian.AppendUint64([]byte{rowVersion}, 1), nil),
		b.Set(entryKey(l.group, 1), value, nil),
	)
	if err != nil {
		return err
	}
	if err := l.store.commit(b); err != nil {
		return err
	}
	l.mu.Lock()
	l.term, l.first, l.last = 1, 1, 1
	l.sizes.add(1, int64(len(value)))
	l.mu.Unlock()
	return l.store.marks.update(l.group, func(k *mark) { k.term, k.last = 1, 1 })
}

func unixNanos(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(t.UnixNano())
}

func fromUnixNanos(n uint64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(n))
}
