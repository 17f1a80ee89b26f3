package raftlog

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowDisk makes every fsync take so long.
type slowDisk struct {
	vfs.FS
	fsync *atomic.Int64 // time.Duration
}

func (d *slowDisk) wrap(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return f, err
	}
	return slowFile{f, d}, nil
}

func (d *slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.wrap(d.FS.Create(name, c))
}

func (d *slowDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return d.wrap(d.FS.OpenReadWrite(name, c, opts...))
}

func (d *slowDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return d.wrap(d.FS.ReuseForWrite(from, to, c))
}

type slowFile struct {
	vfs.File
	disk *slowDisk
}

func (f slowFile) pause() { time.Sleep(time.Duration(f.disk.fsync.Load())) }

func (f slowFile) Sync() error     { f.pause(); return f.File.Sync() }
func (f slowFile) SyncData() error { f.pause(); return f.File.SyncData() }
func (f slowFile) SyncTo(length int64) (bool, error) {
	f.pause()
	return f.File.SyncTo(length)
}

// TestElectionOnSlowDisks: an election takes longer than a candidate waits at
// first; all groups get a leader nevertheless, and keep it.
func TestElectionOnSlowDisks(t *testing.T) {
	for _, fsync := range []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(fsync.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newTestCluster(t, nil)
				var slow atomic.Int64
				for _, id := range []nodeID{"a", "b", "c"} {
					disk := vfs.NewCrashableMem()
					n := &testNode{c: c, id: id, disk: disk, fs: &slowDisk{disk, &slow}}
					c.nodes[id], c.order = n, append(c.order, id)
					n.open()
				}
				groups := []GroupID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
				c.bootstrap(groups...)
				slow.Store(int64(fsync))
				began := time.Now()
				for _, g := range groups {
					c.put(g, "k", "v")
				}
				t.Logf("all groups took a write after %v", time.Since(began))
				time.Sleep(time.Minute) // longer than calm: timeouts are the usual ones again
				began = time.Now()
				for _, g := range groups {
					c.put(g, "k", "w")
				}
				if took := time.Since(began); took > time.Duration(len(groups))*10*fsync {
					t.Errorf("a minute later a write to each took %v", took)
				}
				slow.Store(0)
			})
		})
	}
}

// TestPatienceEndsWithACut: a replica that was alone for long does not wait long
// once it is connected again.
func TestPatienceEndsWithACut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, nil, "a", "b", "c")
		c.bootstrap(1)
		c.put(1, "k", "1")
		for range 5 {
			c.net.Isolate(c.order, c.order)
			time.Sleep(5 * time.Minute) // more than enough for the longest patience
			c.net.Heal()
			began := time.Now()
			c.put(1, "k", "2")
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("nobody led for %v after the network was whole again", took)
			}
		}
	})
}
