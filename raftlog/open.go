package raftlog

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// storeFormat is Pebble's format of both stores. It is tied to the format level
// of the cluster, and never the zero value: with that one, Open succeeds on a WAL
// with a flipped bit and drops what is behind it.
const storeFormat = pebble.FormatMajorVersion(24)

// Open opens the stores of a node, or makes them. Replicas that are damaged are
// wiped and get a new identity; on a node that holds the only voter of a group
// that is refused. Errors: ErrLocked, ErrNewerFormat, ErrCorrupt.
func Open(cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Host{
		cfg:      cfg,
		streams:  make(chan struct{}, 1),
		senders:  make(chan struct{}, snapshotSenders),
		stop:     make(chan struct{}),
		groups:   make(map[GroupID]*Group),
		replaced: make(map[GroupID]string),
	}
	h.fs = &diskFS{FS: cfg.FS, stall: cfg.StallTimeout, fatal: h.fatal, timed: cfg.TimeFsync}
	h.flusher = newFlusher(h)
	h.confirms = newConfirmer(h)
	h.beat = newBeat(cfg.HeartbeatTimeout)
	err = h.openStores()
	if err == nil {
		err = h.checkReplicas()
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", cfg.Dir, errors.Join(err, h.closeStores()))
	}
	h.tasks.Go(func() { h.marks.run(h.stop, h.fatal) })
	h.tasks.Go(func() { h.flusher.run(h.stop) })
	h.handle()
	return h, nil
}

func (h *Host) openStores() error {
	fs, dir := h.fs, h.cfg.Dir
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := syncDir(fs, fs.PathDir(dir)); err != nil {
		return err
	}
	if err := h.lockDir(); err != nil {
		return err
	}
	logDir, stateDir := fs.PathJoin(dir, "log"), fs.PathJoin(dir, "state")
	if err := errors.Join(fs.MkdirAll(logDir, 0o755), fs.MkdirAll(stateDir, 0o755), syncDir(fs, dir)); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	desc, err := pebble.Peek(logDir, fs)
	if err != nil {
		return storeError("log store", err)
	}
	if h.marks, err = openMarks(fs, dir, fs.PathJoin(dir, "marks"), !desc.Exists); err != nil {
		return corrupt("marks of the log store", err)
	}
	h.cache = pebble.NewCache(h.cfg.CacheBytes)
	logOptions := h.logStoreOptions()
	logDB, err := pebble.Open(logDir, logOptions)
	if err != nil {
		return storeError("log store", err)
	}
	h.log = &logStore{db: logDB, marks: h.marks, fatal: h.fatal, sync: pebble.Sync}
	if h.cfg.Faults.SkipFsync {
		h.log.sync = pebble.NoSync
	}
	stateOptions := h.storeOptions()
	stateOptions.DisableWAL = true
	// An ingested snapshot must be durable when its ingest returns; as a
	// flushable it would wait for a flush, and there is no WAL to find it again.
	stateOptions.Experimental.DisableIngestAsFlushable = func() bool { return true }
	if h.state, err = pebble.Open(stateDir, stateOptions); err != nil {
		return storeError("state store", err)
	}
	if err := errors.Join(fs.RemoveAll(h.spoolDir()), fs.MkdirAll(h.spoolDir(), 0o755)); err != nil {
		return fmt.Errorf("empty spool directory: %w", err)
	}
	return syncDir(fs, dir)
}

func (h *Host) lockDir() (err error) {
	h.lock, err = pebble.LockDirectory(h.cfg.Dir, h.fs)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) || strings.Contains(err.Error(), "lock held"):
		return fmt.Errorf("%w: %w", ErrLocked, err)
	default:
		return fmt.Errorf("lock data directory: %w", err)
	}
}

func (h *Host) storeOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          h.fs,
		Cache:                       h.cache,
		FormatMajorVersion:          storeFormat,
		Logger:                      pebbleLogger{h},
		MemTableSize:                uint64(h.cfg.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		L0CompactionThreshold:       4,
		MaxOpenFiles:                512,
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) {
			// A flush that an ingest or an excise went ahead of is tried again.
			if !errors.Is(err, pebble.ErrCancelledCompaction) {
				h.fatal(fmt.Errorf("background work of a store: %w", err))
			}
		},
	}
	if h.cfg.CompactAtOnce {
		o.Experimental.CompactionScheduler = atOnce{}
	}
	// What is young is not compressed: it is written over soon.
	for i := range o.Levels[:len(o.Levels)-1] {
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
	}
	o.Levels[len(o.Levels)-1].Compression = func() *sstable.CompressionProfile { return sstable.SnappyCompression }
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
	}
	return o
}

// logStoreOptions are those of the log store. A log is written in order, read
// from the cache of its group and cut off soon, tables and all ([logStore.discard]):
// to compress it, to filter it and to merge its tables took more processor time than
// all else that a node does (bench/README.md). So level 0 holds what the logs of a
// dozen groups may hold, about 1.2 GB in tables of 2 MB, and more is merged.
func (h *Host) logStoreOptions() *pebble.Options {
	o := h.storeOptions()
	o.WALBytesPerSync = 0
	o.MemTableSize *= 2
	o.L0CompactionThreshold = 48
	o.L0CompactionFileThreshold = 1000
	o.L0StopWritesThreshold = 144
	o.LBaseMaxBytes = 512 << 20
	for i := range o.Levels {
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.NoCompression }
		o.Levels[i].FilterPolicy = nil
	}
	return o
}

// storeError gives an error of opening a store its type.
func storeError(store string, err error) error {
	switch {
	case strings.Contains(err.Error(), "unknown format major version"):
		return fmt.Errorf("%s: %w: %w; run the program that wrote it, or a newer one", store, ErrNewerFormat, err)
	case pebble.IsCorruptionError(err):
		return corrupt(store, err)
	default:
		return fmt.Errorf("%s: %w", store, err)
	}
}

// checkReplicas compares the log store, the marks and the state store. A replica
// that has less than it must have is damaged: its votes and acknowledgements may
// be lost, so it must never vote again.
func (h *Host) checkReplicas() error {
	logged, err := h.log.groups()
	if err != nil {
		return corrupt("log store", err)
	}
	present := make(map[GroupID]bool)
	for _, g := range logged {
		present[g] = true
		if err := h.checkReplica(g); err != nil {
			return err
		}
	}
	for _, g := range h.marks.groups() {
		if present[g] {
			continue
		}
		k, _ := h.marks.get(g)
		if k.alone && (k.last > 0 || k.term > 0) {
			return h.onlyCopy(g, "its log is gone")
		}
		h.cfg.Logger.Error("replica lost its log; the node joins the group as a new replica", "group", g, "server", k.server)
		h.replaced[g] = "its log was gone"
		if h.cfg.Faults.KeepIdentity {
			err = h.log.create(g, k.server)
		} else {
			err = h.log.create(g, newServerID(h.cfg.Self, k.server.Lineage()))
		}
		if err != nil {
			return err
		}
		present[g] = true
		if err := h.wipeState(g); err != nil {
			return err
		}
	}
	return h.dropForeignState(present)
}

func (h *Host) checkReplica(g GroupID) error {
	log, rec, k, err := h.readReplica(g)
	if err != nil {
		return err
	}
	id, alone := log.server, k.alone
	reason := damage(log, rec, k)
	if h.cfg.Faults.KeepIdentity {
		reason = ""
	}
	if reason != "" {
		if alone {
			return h.onlyCopy(g, reason)
		}
		h.cfg.Logger.Error("replica is damaged; it is wiped and becomes a new replica", "group", g, "server", id, "reason", reason)
		h.replaced[g] = reason
		if err := h.wipeState(g); err != nil {
			return err
		}
		return h.log.create(g, newServerID(h.cfg.Self, id.Lineage()))
	}
	return h.marks.update(g, func(k *mark) {
		*k = mark{server: id, term: log.term, voteTerm: log.voteTerm, candidate: string(log.candidate), last: log.held(), alone: alone}
	})
}

// readReplica reads what the three stores say of a replica.
func (h *Host) readReplica(g GroupID) (*groupLog, record, mark, error) {
	id, err := h.log.identity(g)
	if err != nil {
		return nil, record{}, mark{}, corrupt("log store", err)
	}
	if id == "" {
		return nil, record{}, mark{}, corrupt("log store", fmt.Errorf("group %d has rows but no identity", g))
	}
	log, err := openGroupLog(h.log, g, 0, h.failed)
	if err != nil {
		return nil, record{}, mark{}, corrupt("log store", err)
	}
	rec, err := readRecord(h.state, g)
	if err != nil {
		return nil, record{}, mark{}, corrupt("state store", err)
	}
	k, _ := h.marks.get(g)
	if k.server != id {
		// The replica was replaced, and a crash kept the mark of the old one.
		k = mark{}
	}
	return log, rec, k, nil
}

// damage says what is missing of a replica, or "".
func damage(log *groupLog, rec record, k mark) string {
	snapshot := uint64(0)
	if log.snapshot != nil {
		snapshot = log.snapshot.Index
	}
	switch held := log.held(); {
	case log.diverged != "":
		return "it was put into quarantine: " + log.diverged
	case log.term < k.term:
		return fmt.Sprintf("term is %d, it was %d", log.term, k.term)
	case log.voteTerm < k.voteTerm, log.voteTerm == k.voteTerm && string(log.candidate) != k.candidate:
		return fmt.Sprintf("vote is of term %d for %q, it was of term %d for %q", log.voteTerm, log.candidate, k.voteTerm, k.candidate)
	case held < k.last:
		return fmt.Sprintf("log ends at %d, it reached %d", held, k.last)
	case log.first > snapshot+1:
		return fmt.Sprintf("log begins at %d, its snapshot ends at %d", log.first, snapshot)
	case rec.applied < snapshot:
		return fmt.Sprintf("state ends at %d, its snapshot at %d", rec.applied, snapshot)
	case rec.applied > max(held, log.ingested):
		return fmt.Sprintf("state ends at %d, log at %d", rec.applied, held)
	}
	return ""
}

func (h *Host) onlyCopy(g GroupID, reason string) error {
	return corrupt("log store", fmt.Errorf("replica of group %d is damaged (%s), and it is the only one", g, reason))
}

// dropForeignState removes state of groups without a replica, which a crash
// during Remove left.
func (h *Host) dropForeignState(present map[GroupID]bool) error {
	it, err := h.state.NewIter(nil)
	if err != nil {
		return corrupt("state store", err)
	}
	groups, err := groupsOf(it)
	if err = errors.Join(err, it.Close()); err != nil {
		return corrupt("state store", err)
	}
	for _, g := range groups {
		if !present[g] {
			if err := h.wipeState(g); err != nil {
				return err
			}
		}
	}
	return nil
}

var _ vfs.FS = (*diskFS)(nil)
