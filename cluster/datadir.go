package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// dataFormat is the version of the data directory's form.
const dataFormat = 1

// The files of a data directory. raftlog's stores are in raftDir.
const (
	lockFile = "LOCK"
	nodeFile = "node"
	raftDir  = "raft"
)

// nodeRecord is what a node knows of itself for ever. It is stored in nodeFile.
type nodeRecord struct {
	Format int
	Name   peer.NodeID
	// Cluster is empty until the node belongs to one; then it never changes.
	Cluster string
	// Founding is the proposal of a new cluster that the node accepted: at most
	// one, and only while it belonged to none. Its layout is the first one.
	Founding *founding `json:",omitempty"`
	// GivenUp are clusters that the node agreed to found and that never came to be:
	// their proposer lost its disk and proposed another one.
	GivenUp []string `json:",omitempty"`
	// Told is set when every node of the founding has heard that it is decided.
	Told bool `json:",omitempty"`
	// Layout is the newest layout that the node has seen.
	Layout *layout `json:",omitempty"`
	// Seeds are gossip addresses of other nodes, as last seen.
	Seeds []string
}

// dataDir is a node's directory, locked. It is safe for concurrent use.
type dataDir struct {
	fs   vfs.FS
	path string
	lock io.Closer

	// failed is told when a change could not be made durable; set before the node
	// runs.
	failed func(error)

	mu     sync.Mutex // guards record, and the file
	record nodeRecord
}

// openDataDir makes or opens the directory of a node and locks it. Errors:
// ErrLocked, ErrNotWritable, ErrNewerFormat, ErrCorrupt, ErrOtherNode.
func openDataDir(fsys vfs.FS, path string, name peer.NodeID) (*dataDir, error) {
	if err := makeDir(fsys, path); err != nil {
		return nil, notWritable(path, err)
	}
	d := &dataDir{fs: fsys, path: path}
	lock, err := lockDataDir(fsys, path)
	if err != nil {
		return nil, err
	}
	d.lock = lock
	if err := d.load(name); err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return d, nil
}

func lockDataDir(fsys vfs.FS, path string) (io.Closer, error) {
	lock, err := fsys.Lock(fsys.PathJoin(path, lockFile))
	var notOpened *fs.PathError // the lock's file, not the lock
	switch {
	case errors.As(err, &notOpened):
		return nil, notWritable(path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w (%w); stop that process, or give this node a directory of its own", path, ErrLocked, err)
	}
	return lock, nil
}

// makeDir makes a directory that a power cut does not take away again: the entry
// of each directory in its parent is durable, too.
func makeDir(fsys vfs.FS, path string) error {
	made := []string{path} // perhaps by a process that crashed before it was durable
	for dir := fsys.PathDir(path); dir != fsys.PathDir(dir); dir = fsys.PathDir(dir) {
		if _, err := fsys.Stat(dir); err == nil {
			break
		}
		made = append(made, dir)
	}
	if err := fsys.MkdirAll(path, 0o755); err != nil {
		return err
	}
	for _, dir := range made {
		err := syncDir(fsys, fsys.PathDir(dir))
		// Whoever may not read the parent did not make the directory either.
		if err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	return nil
}

func syncDir(fsys vfs.FS, path string) error {
	dir, err := fsys.OpenDir(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

func notWritable(path string, err error) error {
	return fmt.Errorf("%s: %w (%w); give this node a directory that its user may read and write, on a disk with space", path, ErrNotWritable, err)
}

func (d *dataDir) load(name peer.NodeID) error {
	record, err := readNodeRecord(d.fs, d.path)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := d.fs.Stat(d.fs.PathJoin(d.path, raftDir)); err == nil {
			return fmt.Errorf("%s: %w: it has logs but no file %q, so it is not known whose they are; restore the file, or move the directory away and start anew", d.path, ErrCorrupt, nodeFile)
		}
		return d.update(func(r *nodeRecord) { *r = nodeRecord{Format: dataFormat, Name: name} })
	}
	if err != nil {
		return err
	}
	d.record = record
	if d.record.Name != name {
		return fmt.Errorf("%s: %w: it is %s's, and this node is %s; start it under its old name, or give it another directory", d.path, ErrOtherNode, d.record.Name, name)
	}
	// A full or read-only disk shows now and not at the first request.
	return d.update(func(*nodeRecord) {})
}

// readNodeRecord reads the file of a node.
func readNodeRecord(fsys vfs.FS, dir string) (nodeRecord, error) {
	path := fsys.PathJoin(dir, nodeFile)
	f, err := fsys.Open(path)
	if err != nil {
		return nodeRecord{}, notWritable(path, err)
	}
	b, err := io.ReadAll(f)
	if err := errors.Join(err, f.Close()); err != nil {
		return nodeRecord{}, fmt.Errorf("read %s: %w", path, err)
	}
	r, err := decodeNodeRecord(b)
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}

// get returns the record. What its pointers show never changes.
func (d *dataDir) get() nodeRecord {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.record
}

// update changes the record; it is durable when update returns without error. An
// error ends the node.
func (d *dataDir) update(change func(*nodeRecord)) error {
	err := d.tryUpdate(change)
	if err != nil && d.failed != nil {
		d.failed(err)
	}
	return err
}

func (d *dataDir) tryUpdate(change func(*nodeRecord)) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.record
	change(&next)
	if err := d.write(next.encode()); err != nil {
		return notWritable(d.path, err)
	}
	d.record = next
	return nil
}

func (d *dataDir) write(b []byte) error {
	path := d.fs.PathJoin(d.path, nodeFile)
	f, err := d.fs.Create(path+".new", vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := d.fs.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(d.fs, d.path)
}

func (d *dataDir) raft() string { return d.fs.PathJoin(d.path, raftDir) }

func (d *dataDir) close() error { return d.lock.Close() }

// The file is a line with the format and the CRC32C of the rest, then JSON.
const nodeFileHeader = "reprise node %d %08x\n"

func (r nodeRecord) encode() []byte {
	b, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("cluster: encode node record: %v", err)) // it has only encodable fields
	}
	sum := crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli))
	return append(fmt.Appendf(nil, nodeFileHeader, r.Format, sum), b...)
}

func decodeNodeRecord(b []byte) (nodeRecord, error) {
	var format int
	var sum uint32
	line, rest, found := bytes.Cut(b, []byte("\n"))
	if n, _ := fmt.Sscanf(string(line)+"\n", nodeFileHeader, &format, &sum); n != 2 || !found {
		return nodeRecord{}, damagedRecord("it does not begin like one")
	}
	if format > dataFormat {
		return nodeRecord{}, fmt.Errorf("%w: format %d, and this program knows up to %d; run the program that wrote it, or a newer one", ErrNewerFormat, format, dataFormat)
	}
	if crc32.Checksum(rest, crc32.MakeTable(crc32.Castagnoli)) != sum {
		return nodeRecord{}, damagedRecord("wrong checksum")
	}
	var r nodeRecord
	if err := json.Unmarshal(rest, &r); err != nil {
		return nodeRecord{}, damagedRecord(err.Error())
	}
	return r, nil
}

// damagedRecord says that a node's file cannot be believed, and what a person can
// do.
func damagedRecord(why string) error {
	return fmt.Errorf("%w: %s. Do not edit the file. If other nodes hold replicas, move the data directory away and start this node again: it joins as a new one. If this is the only node, restore a backup", ErrCorrupt, why)
}

// founding is a proposal of a new cluster, and later the record of how it was
// founded.
type founding struct {
	Proposer peer.NodeID
	Layout   *layout
	// Servers are the first voters of each group. They are known once every node
	// of the layout has accepted; from then on the founding is decided.
	Servers map[uint32][]raftlog.ServerID `json:",omitempty"`
}
