package raftlog

import (
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// TestVoteIsWrittenAtOnce crashes between the two writes of a vote and after.
func TestVoteIsWrittenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a")
		n := c.nodes["a"]
		n.create(1)
		log, err := openGroupLog(n.host.log, 1, 1<<20, n.host.failed)
		if err != nil {
			t.Fatal(err)
		}
		vote := func(term uint64, candidate string, half bool) {
			if err := log.SetUint64([]byte(keyTerm), term); err != nil {
				t.Fatal(err)
			}
			if err := log.SetUint64([]byte(keyVoteTerm), term); err != nil {
				t.Fatal(err)
			}
			if !half {
				if err := log.Set([]byte(keyVoteCand), []byte(candidate)); err != nil {
					t.Fatal(err)
				}
			}
		}
		vote(5, "x", false)
		vote(6, "y", true)
		n.crash(0)
		n.open()
		log, err = openGroupLog(n.host.log, 1, 1<<20, n.host.failed)
		if err != nil {
			t.Fatal(err)
		}
		if log.term != 6 || log.voteTerm != 5 || string(log.candidate) != "x" {
			t.Fatalf("after half a vote: term %d, vote in %d for %q", log.term, log.voteTerm, log.candidate)
		}
	})
}

// TestOpenRefuses meets directories that must not be opened.
func TestOpenRefuses(t *testing.T) {
	network := peer.NewMemory(1)
	open := func(fs vfs.FS) error {
		h, err := Open(Config{Self: "a", Dir: "data", FS: fs, Network: network.Node("a"), OnFatal: func(error) {}})
		if err == nil {
			t.Cleanup(func() { _ = h.Close() })
		}
		return err
	}
	t.Run("locked", func(t *testing.T) {
		fs := vfs.NewMem()
		if err := open(fs); err != nil {
			t.Fatal(err)
		}
		if err := open(fs); !errors.Is(err, ErrLocked) {
			t.Fatalf("second open: %v", err)
		}
	})
	t.Run("newer format", func(t *testing.T) {
		fs := vfs.NewMem()
		h, err := Open(Config{Self: "a", Dir: "data", FS: fs, Network: network.Node("a")})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		names, err := fs.List("data/log")
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if len(name) > 21 && name[:21] == "marker.format-version" {
				if err := fs.Rename("data/log/"+name, "data/log/marker.format-version.000999.999"); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := open(fs); !errors.Is(err, ErrNewerFormat) {
			t.Fatalf("open: %v", err)
		}
	})
	t.Run("marks are gone", func(t *testing.T) {
		fs := vfs.NewMem()
		h, err := Open(Config{Self: "a", Dir: "data", FS: fs, Network: network.Node("a")})
		if err != nil {
			t.Fatal(err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if err := fs.Remove("data/marks"); err != nil {
			t.Fatal(err)
		}
		if err := open(fs); !errors.Is(err, ErrCorrupt) {
			t.Fatalf("open: %v", err)
		}
	})
}

// failingFS fails or stalls every fsync once broken is set.
type failingFS struct {
	vfs.FS
	broken *atomic.Bool
	stall  time.Duration
}

func (fs failingFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, c)
	return failingFile{f, fs}, err
}

type failingFile struct {
	vfs.File
	fs failingFS
}

func (f failingFile) sync() error {
	if !f.fs.broken.Load() {
		return f.File.Sync()
	}
	if f.fs.stall > 0 {
		time.Sleep(f.fs.stall)
		return f.File.Sync()
	}
	return errors.New("input/output error")
}

func (f failingFile) Sync() error     { return f.sync() }
func (f failingFile) SyncData() error { return f.sync() }

// TestBadDiskIsFatal makes fsyncs fail, and hang. The host is not closed: in
// production the process has ended.
func TestBadDiskIsFatal(t *testing.T) {
	for name, stall := range map[string]time.Duration{"fails": 0, "hangs": time.Minute} {
		t.Run(name, func(t *testing.T) {
			var broken atomic.Bool
			fatal := make(chan error, 1)
			h, err := Open(Config{
				Self: "a", Dir: "data", FS: failingFS{FS: vfs.NewMem(), broken: &broken, stall: stall},
				Network: peer.NewMemory(1).Node("a"), StallTimeout: 50 * time.Millisecond,
				OnFatal: func(err error) { fatal <- err },
			})
			if err != nil {
				t.Fatal(err)
			}
			broken.Store(true)
			go func() { _, _ = h.Create(2) }()
			if err := <-fatal; err == nil || !h.failed() {
				t.Fatalf("fatal error %v, mute %v", err, h.failed())
			}
		})
	}
}

// TestMarksSurviveTornWrites cuts the newest slot off.
func TestMarksSurviveTornWrites(t *testing.T) {
	for seed := range uint64(50) {
		fs := vfs.NewCrashableMem()
		m, err := openMarks(fs, "", "marks", true)
		if err != nil {
			t.Fatal(err)
		}
		for i := range uint64(5) {
			if err := m.update(1, func(k *mark) { *k = mark{server: "s@a", term: i, last: 10 * i} }); err != nil {
				t.Fatal(err)
			}
		}
		// One more write, not synced.
		m.table[1] = mark{server: "s@a", term: 99}
		if _, err := m.file.WriteAt(encodeMarks(m.slot+1, m.table), int64((m.slot+1)%2)*markSlotBytes); err != nil {
			t.Fatal(err)
		}
		after := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(seed, 1))})
		m, err = openMarks(after, "", "marks", false)
		if err != nil {
			t.Fatal(err)
		}
		if k, _ := m.get(1); k.term != 4 && k.term != 99 {
			t.Fatalf("term is %d after a torn write", k.term)
		}
	}
}

// TestReleaseOn checks the field of Raft's futures on which releaseOn relies.
func TestReleaseOn(t *testing.T) {
	c := raft.DefaultConfig()
	c.LocalID = "x"
	c.LogOutput = discard{}
	store := raft.NewInmemStore()
	_, transport := raft.NewInmemTransport("x")
	r, err := raft.NewRaft(c, &raft.MockFSM{}, store, store, raft.NewInmemSnapshotStore(), transport)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Shutdown()
	stopped := make(chan struct{})
	close(stopped)
	for _, f := range []raft.Future{
		releaseOn(r.Apply(nil, 0), stopped),
		releaseOn(r.AddVoter("y", "y", 0, time.Second), stopped),
		releaseOn(r.LeadershipTransfer(), stopped),
	} {
		if f.Error() == nil {
			t.Error("a future without an answer returned nil")
		}
	}
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// FuzzMessages feeds bytes from outside to every decoder. None may panic, and
// what is accepted is encoded to the same bytes again.
func FuzzMessages(f *testing.F) {
	head := frame{3, "t@a", "s@b"}
	f.Add(encodeAppend(head, &raft.AppendEntriesRequest{Term: 4, PrevLogEntry: 6, PrevLogTerm: 3, Entries: []*raft.Log{{Index: 7, Term: 4, Data: []byte("data")}}}))
	f.Add(encodeBallot(head, ballot{1, 2, 3, true}))
	f.Add(encodeOffer(head, offer{1, 2, 3, 4, 5, []byte("c")}))
	f.Add(encodeMarks(3, map[GroupID]mark{1: {server: "s@a", term: 3}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = seal(b) // else hardly any input gets past the checksum
		_, _, _ = decodeMarks(b)
		_, _ = decodeSnapshotRow(b)
		_, _ = decodeEntry(b)
		_, _ = decodeRecord(b)
		_ = checkBatch(1, b)
		head, d, err := openFrame(b)
		if err != nil {
			return
		}
		if a, err := decodeAppend(head, d); err == nil && a.LeaderCommitIndex > a.PrevLogEntry+uint64(len(a.Entries)) {
			t.Fatal("commit index beyond the entries")
		}
		if v, err := decodeBallot(d); err == nil && v.transfer && string(encodeBallot(head, v)) != string(b) {
			t.Fatal("ballot does not round-trip")
		}
		_, _ = decodeOffer(d)
	})
}
