package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// mark is what the log store of one replica must hold at least. A log store that
// holds less was damaged: Pebble cannot see that the end of its WAL is missing.
type mark struct {
	server    ServerID
	term      uint64 // exact
	voteTerm  uint64 // exact
	candidate string // exact
	last      uint64 // newest index of log or snapshot; it may lag behind
	// alone is set where the replica is its group's only voter: there is nobody
	// to fetch the data from, so a damaged log is refused and never wiped.
	alone bool
}

// marks is the side file of the log store. It has two slots, written in turns,
// so that a torn write leaves the other one. Terms and votes are written after
// the log store has them and before anybody hears of them; the last index is
// raised every 100 ms and lowered, synced, before a suffix of a log is removed.
type marks struct {
	file  vfs.File
	dirty chan struct{} // capacity 1: a last index was raised

	mu         sync.Mutex // guards the fields below
	table      map[GroupID]mark
	generation uint64 // of table

	writing chan struct{} // capacity 1: held while writing; guards the fields below
	written uint64        // generation in the file
	slot    uint64        // number of the newest slot written
}

const (
	marksMagic     = 0x5250524d41524b31 // "RPRMARK1"
	markSlotBytes  = 64 << 10
	marksEvery     = 100 * time.Millisecond
	maxServerBytes = 512
)

// openMarks reads the side file, or makes it where fresh says that there is no
// log store yet. It refuses a file in which neither slot can be read.
func openMarks(fs vfs.FS, dir, path string, fresh bool) (*marks, error) {
	m := &marks{
		dirty:   make(chan struct{}, 1),
		table:   make(map[GroupID]mark),
		writing: make(chan struct{}, 1),
	}
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, fmt.Errorf("open marks: %w", err)
	}
	m.file = f
	err = m.load()
	if err != nil && fresh {
		m.generation = 1
		err = errors.Join(m.flush(), syncDir(fs, dir))
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return m, nil
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return fmt.Errorf("open directory %s: %w", dir, err)
	}
	return errors.Join(d.Sync(), d.Close())
}

// load takes the newer of the two slots.
func (m *marks) load() error {
	buf := make([]byte, 2*markSlotBytes)
	n, err := m.file.ReadAt(buf, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read marks: %w", err)
	}
	buf = buf[:n]
	var problems error
	for i := range 2 {
		if len(buf) <= i*markSlotBytes {
			break
		}
		slot, table, err := decodeMarks(buf[i*markSlotBytes : min(len(buf), (i+1)*markSlotBytes)])
		if err != nil {
			problems = errors.Join(problems, fmt.Errorf("slot %d: %w", i, err))
			continue
		}
		if slot >= m.slot {
			m.slot, m.table = slot, table
		}
	}
	if m.slot == 0 {
		return fmt.Errorf("%d bytes without a readable slot: %w", n, problems)
	}
	return nil
}

// get returns the mark of a group.
func (m *marks) get(g GroupID) (mark, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.table[g]
	return k, ok
}

// groups returns all groups that have a mark.
func (m *marks) groups() []GroupID {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.table))
}

// update changes the mark of a group and returns when it is on disk.
func (m *marks) update(g GroupID, change func(*mark)) error {
	m.mu.Lock()
	k := m.table[g]
	change(&k)
	m.table[g] = k
	m.generation++
	m.mu.Unlock()
	return m.flush()
}

// remove drops the mark of a replica and returns when that is on disk. The mark of
// a replica that took its place stays.
func (m *marks) remove(g GroupID, server ServerID) error {
	m.mu.Lock()
	if m.table[g].server == server {
		delete(m.table, g)
	}
	m.generation++
	m.mu.Unlock()
	return m.flush()
}

// raise notes a newer last index, to be written soon. The log store must hold it.
func (m *marks) raise(g GroupID, last uint64) {
	m.mu.Lock()
	k, ok := m.table[g]
	if ok && last > k.last {
		k.last = last
		m.table[g] = k
		m.generation++
	}
	m.mu.Unlock()
	select {
	case m.dirty <- struct{}{}:
	default:
	}
}

// run writes raised indexes until stop is closed.
func (m *marks) run(stop <-chan struct{}, fatal func(error)) {
	for {
		select {
		case <-stop:
			return
		case <-m.dirty:
		}
		timer := time.NewTimer(marksEvery)
		select {
		case <-stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := m.flush(); err != nil {
			fatal(err)
			return
		}
	}
}

// flush writes the table, unless somebody else has done so meanwhile.
func (m *marks) flush() error {
	m.mu.Lock()
	need := m.generation
	m.mu.Unlock()
	m.writing <- struct{}{}
	defer func() { <-m.writing }()
	if m.written >= need {
		return nil
	}
	m.mu.Lock()
	generation := m.generation
	body := encodeMarks(m.slot+1, m.table)
	m.mu.Unlock()
	if len(body) > markSlotBytes {
		return fmt.Errorf("marks of all groups take %d bytes, at most %d are possible", len(body), markSlotBytes)
	}
	if _, err := m.file.WriteAt(body, int64((m.slot+1)%2)*markSlotBytes); err != nil {
		return fmt.Errorf("write marks: %w", err)
	}
	if err := m.file.Sync(); err != nil {
		return fmt.Errorf("sync marks: %w", err)
	}
	m.slot++
	m.written = generation
	return nil
}

func (m *marks) close() error {
	return errors.Join(m.flush(), m.file.Close())
}

// A slot is magic (8), slot number (8), length of the body (4), number of groups
// (4), the groups, and an xxhash64 over all before it.
func encodeMarks(slot uint64, table map[GroupID]mark) []byte {
	b := binary.BigEndian.AppendUint64(nil, marksMagic)
	b = binary.BigEndian.AppendUint64(b, slot)
	b = binary.BigEndian.AppendUint32(b, 0) // length, below
	b = binary.BigEndian.AppendUint32(b, uint32(len(table)))
	for _, g := range slices.Sorted(maps.Keys(table)) {
		k := table[g]
		b = binary.BigEndian.AppendUint32(b, uint32(g))
		b = appendString(b, string(k.server))
		b = binary.BigEndian.AppendUint64(b, k.term)
		b = binary.BigEndian.AppendUint64(b, k.voteTerm)
		b = appendString(b, k.candidate)
		b = binary.BigEndian.AppendUint64(b, k.last)
		b = appendBool(b, k.alone)
	}
	binary.BigEndian.PutUint32(b[16:], uint32(len(b)))
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

func decodeMarks(b []byte) (slot uint64, table map[GroupID]mark, err error) {
	if len(b) < 32 || binary.BigEndian.Uint64(b) != marksMagic {
		return 0, nil, errors.New("no slot here")
	}
	length := binary.BigEndian.Uint32(b[16:])
	if length < 24 || int64(length)+8 > int64(len(b)) {
		return 0, nil, fmt.Errorf("length %d is impossible", length)
	}
	if sum := binary.BigEndian.Uint64(b[length:]); sum != xxhash.Sum64(b[:length]) {
		return 0, nil, errors.New("checksum is wrong")
	}
	d := decoder{b: b[8:length]}
	slot = d.uint64()
	_ = d.uint32()
	n := d.uint32()
	table = make(map[GroupID]mark)
	for range n {
		g := GroupID(d.uint32())
		table[g] = mark{
			server:    ServerID(d.string(maxServerBytes)),
			term:      d.uint64(),
			voteTerm:  d.uint64(),
			candidate: d.string(maxServerBytes),
			last:      d.uint64(),
			alone:     d.bool(),
		}
		if d.err != nil {
			break
		}
	}
	return slot, table, d.end()
}
