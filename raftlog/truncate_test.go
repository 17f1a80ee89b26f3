package raftlog

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// openLogs opens a host with logs of so many groups, and nothing that writes to them.
func openLogs(t *testing.T, cfg Config, groups int) (*Host, []*groupLog) {
	t.Helper()
	cfg.Self, cfg.Network = "a", peer.NewMemory(1).Node("a")
	cfg.OnFatal = func(err error) { t.Errorf("fatal: %v", err) }
	h, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	logs := make([]*groupLog, groups)
	for i := range logs {
		g := GroupID(i + 1)
		if _, err := h.Create(g); err != nil {
			t.Fatal(err)
		}
		if logs[i], err = openGroupLog(h.log, g, 0, h.failed); err != nil {
			t.Fatal(err)
		}
	}
	return h, logs
}

func appendEntry(t *testing.T, l *groupLog, bytes int) {
	t.Helper()
	l.mu.RLock()
	next := l.last + 1
	l.mu.RUnlock()
	if err := l.StoreLog(&raft.Log{Index: next, Term: 1, Data: make([]byte, bytes)}); err != nil {
		t.Fatal(err)
	}
}

// TestTruncatedLogFreesTheDisk truncates a log on a disk that is at rest: the tables go
// with the entries. Under a tombstone they would stay until something compacts them.
func TestTruncatedLogFreesTheDisk(t *testing.T) {
	const entry, entries, kept = 64 << 10, 160, 10
	h, logs := openLogs(t, Config{Dir: "data", FS: vfs.NewMem()}, 1)
	for range entries {
		appendEntry(t, logs[0], entry)
	}
	if err := h.log.db.Flush(); err != nil {
		t.Fatal(err)
	}
	tables := func() int64 {
		m := h.log.db.Metrics()
		total := m.Total()
		return total.AggregateSize()
	}
	before := tables()
	if err := logs[0].truncate(entries - kept); err != nil {
		t.Fatal(err)
	}
	after := tables()
	if before < entry*entries || after > before/4 {
		t.Errorf("tables of the log store have %d bytes, and %d when 15 of 16 entries are gone", before, after)
	}
}

// heldFS holds the next table that is created until it is released.
type heldFS struct {
	vfs.FS
	mu       sync.Mutex
	arrived  chan struct{} // nil: nothing is held
	released chan struct{}
}

func (h *heldFS) hold() (arrived, released chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.arrived, h.released = make(chan struct{}), make(chan struct{})
	return h.arrived, h.released
}

func (h *heldFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h.mu.Lock()
	arrived, released := h.arrived, h.released
	if strings.HasSuffix(name, ".sst") {
		h.arrived = nil
	}
	h.mu.Unlock()
	if arrived != nil && strings.HasSuffix(name, ".sst") {
		close(arrived)
		<-released
	}
	return h.FS.Create(name, c)
}

// TestTruncateBesideAFlush truncates a log in the middle of a flush, which is not
// disturbed, and once more when the disk is at rest, which removes what the first left.
func TestTruncateBesideAFlush(t *testing.T) {
	disk := &heldFS{FS: vfs.NewMem()}
	h, logs := openLogs(t, Config{Dir: "data", FS: disk}, 1)
	for range 10 {
		appendEntry(t, logs[0], 100)
	}
	arrived, released := disk.hold()
	flushed, err := h.log.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	if err := logs[0].truncate(5); err != nil {
		t.Fatal(err)
	}
	close(released)
	<-flushed
	if first, _ := logs[0].FirstIndex(); first != 6 {
		t.Errorf("first entry is %d, want 6", first)
	}
	if err := logs[0].GetLog(5, new(raft.Log)); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("entry 5: %v", err)
	}
	again, err := openGroupLog(h.log, 1, 0, h.failed)
	if err != nil || again.first != 6 || again.last != 10 {
		t.Errorf("read again: %d to %d, %v", again.first, again.last, err)
	}
	if err := again.truncate(8); err != nil {
		t.Fatal(err)
	}
	if m := h.log.db.Metrics(); m.Ingest.Count != 1 {
		t.Errorf("%d excises, want the second truncation to be one", m.Ingest.Count)
	}
}

// TestCancelledFlushIsTriedAgain puts a replica's state in place, as the install of a
// snapshot does, while the state of its neighbours is being flushed. Pebble cancels the
// flush and says so as an error of its background; it is none.
func TestCancelledFlushIsTriedAgain(t *testing.T) {
	disk := &heldFS{FS: vfs.NewMem()}
	h, _ := openLogs(t, Config{Dir: "data", FS: disk}, 0)
	for _, g := range []GroupID{1, 3} { // 3 MB each: more than one table
		for i := range 30 {
			if err := h.state.Set(testKey(g, fmt.Sprint(i)), make([]byte, 100<<10), pebble.NoSync); err != nil {
				t.Fatal(err)
			}
		}
	}
	arrived, released := disk.hold()
	flushed, err := h.state.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	<-arrived
	if err := h.state.Excise(t.Context(), pebble.KeyRange{Start: groupStart(2), End: groupEnd(2)}); err != nil {
		t.Fatal(err)
	}
	close(released)
	<-flushed
	if h.failed() {
		t.Error("the host has failed")
	}
	if m := h.state.Metrics(); m.Flush.Count == 0 {
		t.Errorf("nothing was flushed")
	}
}
