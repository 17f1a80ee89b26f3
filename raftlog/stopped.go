package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// Stopped is the disk of a node that does not run. It is locked, so that the node
// cannot be started meanwhile, and only read: [Host] would wipe a replica that is
// damaged, which may be the last one. [Stopped.Recover] alone writes. It is not
// safe for concurrent use.
type Stopped struct {
	host     *Host // never started: it holds what is open
	replicas []Replica
	failure  atomic.Pointer[error] // the first that the disk or a store told
}

// StoppedConfig says where the disk of a stopped node is.
type StoppedConfig struct {
	// Self is the node, Dir the directory of its stores.
	Self peer.NodeID
	Dir  string
	// FS is the file system, vfs.Default if nil.
	FS vfs.FS
	// Logger, slog.Default() if nil.
	Logger *slog.Logger
}

// Replica is what a stopped node holds of a group. Its JSON is a stored form:
// people carry it from one machine to another.
type Replica struct {
	Group  GroupID  `json:"group"`
	Server ServerID `json:"server"`
	Term   uint64   `json:"term"`
	// LastIndex and LastTerm are of the newest entry in the log or below the
	// snapshot; LastTime is when its first leader appended it, zero where only the
	// snapshot is left of it.
	LastIndex uint64    `json:"lastIndex"`
	LastTerm  uint64    `json:"lastTerm"`
	LastTime  time.Time `json:"lastTime,omitzero"`
	// Applied is the newest index in the state. After a crash it lags behind.
	Applied  uint64 `json:"appliedIndex"`
	Snapshot uint64 `json:"snapshotIndex"`
	// Servers is the newest configuration of the group that the replica holds, which
	// may not be committed; Before is the one before it, if the replica has that.
	Servers []Server `json:"servers"`
	Before  []Server `json:"serversBefore,omitempty"`
	// Damage says what is missing of the replica, empty if nothing is.
	Damage string `json:"damage,omitempty"`
}

// Blank reports whether the replica has never heard anything.
func (r Replica) Blank() bool { return r.Term == 0 && r.LastIndex == 0 && r.Damage == "" }

// longer reports whether r's log holds more than that of another replica, by the
// rule of Raft's elections.
func (r Replica) longer(than Replica) bool {
	if r.LastTerm != than.LastTerm {
		return r.LastTerm > than.LastTerm
	}
	return r.LastIndex > than.LastIndex
}

// OpenStopped looks at the disk of a node that does not run. Errors: ErrLocked,
// ErrNewerFormat, ErrCorrupt.
func OpenStopped(cfg StoppedConfig) (*Stopped, error) {
	s := &Stopped{}
	full := Config{Self: cfg.Self, Dir: cfg.Dir, FS: cfg.FS, Logger: cfg.Logger, OnFatal: func(err error) { s.failure.CompareAndSwap(nil, &err) }}.filled()
	h := &Host{cfg: full}
	h.fs = &diskFS{FS: full.FS, stall: full.StallTimeout, fatal: h.fatal}
	s.host = h
	err := s.open()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Dir, errors.Join(err, h.closeStores()))
	}
	return s, nil
}

func (s *Stopped) open() error {
	h := s.host
	logDir, stateDir := h.fs.PathJoin(h.cfg.Dir, "log"), h.fs.PathJoin(h.cfg.Dir, "state")
	// Nothing may be made here: an empty store would look like a blank node.
	for _, dir := range []string{logDir, stateDir} {
		desc, err := pebble.Peek(dir, h.fs)
		switch {
		case errors.Is(err, os.ErrNotExist) || err == nil && !desc.Exists:
			return corrupt(dir, errors.New("there is no store"))
		case err != nil:
			return storeError(dir, err)
		}
	}
	if err := h.lockDir(); err != nil {
		return err
	}
	marksFile := h.fs.PathJoin(h.cfg.Dir, "marks")
	_, err := h.fs.Stat(marksFile)
	if err == nil {
		h.marks, err = openMarks(h.fs, h.cfg.Dir, marksFile, false)
	}
	if err != nil {
		return corrupt("marks of the log store", err)
	}
	h.cache = pebble.NewCache(h.cfg.CacheBytes)
	if err := s.openLog(true); err != nil {
		return err
	}
	o := h.storeOptions()
	o.DisableWAL, o.ReadOnly = true, true
	if h.state, err = pebble.Open(stateDir, o); err != nil {
		return storeError("state store", err)
	}
	return s.read()
}

// openLog opens the log store, or opens it anew.
func (s *Stopped) openLog(readOnly bool) error {
	h := s.host
	if h.log != nil {
		db := h.log.db
		h.log = nil
		if err := db.Close(); err != nil {
			return fmt.Errorf("close log store: %w", err)
		}
	}
	o := h.logStoreOptions()
	o.ReadOnly = readOnly
	db, err := pebble.Open(h.fs.PathJoin(h.cfg.Dir, "log"), o)
	if err != nil {
		return storeError("log store", err)
	}
	h.log = &logStore{db: db, marks: h.marks, fatal: h.fatal, sync: pebble.Sync}
	return nil
}

// read looks at all replicas, also at those of which only a mark is left.
func (s *Stopped) read() error {
	h := s.host
	groups, err := h.log.groups()
	if err != nil {
		return corrupt("log store", err)
	}
	s.replicas = nil
	for _, g := range groups {
		log, rec, k, err := h.readReplica(g)
		if err != nil {
			return err
		}
		r, err := log.describe(rec)
		if err != nil {
			return corrupt("log store", fmt.Errorf("group %d: %w", g, err))
		}
		r.Damage = damage(log, rec, k)
		s.replicas = append(s.replicas, r)
	}
	for _, g := range h.marks.groups() {
		if k, _ := h.marks.get(g); !slices.Contains(groups, g) && (k.last > 0 || k.term > 0) {
			s.replicas = append(s.replicas, Replica{Group: g, Server: k.server, Damage: "its log is gone"})
		}
	}
	slices.SortFunc(s.replicas, func(a, b Replica) int { return int(a.Group) - int(b.Group) })
	return nil
}

// describe returns what a log says to people.
func (l *groupLog) describe(rec record) (Replica, error) {
	r := Replica{Group: l.group, Server: l.server, Term: l.term, LastIndex: l.held(), Applied: rec.applied}
	if l.snapshot != nil {
		r.Snapshot, r.LastTerm = l.snapshot.Index, l.snapshot.Term
	}
	configurations, err := l.newestConfigurations(r.Snapshot)
	if err != nil {
		return r, err
	}
	if l.snapshot != nil {
		configurations = append(configurations, l.snapshot.Configuration)
	}
	if len(configurations) > 0 {
		r.Servers = serversOf(configurations[0])
	}
	if len(configurations) > 1 {
		r.Before = serversOf(configurations[1])
	}
	if l.last > 0 && l.last == r.LastIndex {
		var last raft.Log
		if err := l.GetLog(l.last, &last); err != nil {
			return r, err
		}
		r.LastTerm, r.LastTime = last.Term, last.AppendedAt
	}
	return r, nil
}

// newestConfigurations returns the newest two configurations in the log behind an
// index, the newest first, or as many as there are.
func (l *groupLog) newestConfigurations(behind uint64) (found []raft.Configuration, err error) {
	it, err := l.store.db.NewIter(&pebble.IterOptions{
		LowerBound: entryKey(l.group, behind+1),
		UpperBound: rowKey(l.group, rowEntry+1),
	})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Error(), it.Close()) }()
	for ok := it.Last(); ok && len(found) < 2; ok = it.Prev() {
		value, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		if len(value) < entryValueHeader || raft.LogType(value[1]) != raft.LogConfiguration {
			continue // the form is checked where the entry is read
		}
		var e raft.Log
		if err := decodeEntryValue(binary.BigEndian.Uint64(it.Key()[5:]), value, &e); err != nil {
			return nil, err
		}
		c, err := decodeConfiguration(e.Data)
		if err != nil {
			return nil, err
		}
		found = append(found, c)
	}
	return found, nil
}

// Replicas returns what the node holds, by group.
func (s *Stopped) Replicas() []Replica { return slices.Clone(s.replicas) }

// Close closes the stores and unlocks the directory.
func (s *Stopped) Close() error {
	err := s.host.closeStores()
	if failure := s.failure.Load(); failure != nil {
		err = errors.Join(*failure, err)
	}
	return err
}
