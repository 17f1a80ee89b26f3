package cluster

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowDisk makes every fsync take so long.
type slowDisk struct {
	vfs.FS
	fsync atomic.Int64 // time.Duration
}

func (d *slowDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.Create(name, c)
	return slowFile{f, d}, err
}

func (d *slowDisk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := d.FS.ReuseForWrite(from, to, c)
	return slowFile{f, d}, err
}

type slowFile struct {
	vfs.File
	disk *slowDisk
}

func (f slowFile) pause()          { time.Sleep(time.Duration(f.disk.fsync.Load())) }
func (f slowFile) Sync() error     { f.pause(); return f.File.Sync() }
func (f slowFile) SyncData() error { f.pause(); return f.File.SyncData() }

// Who has handed over leads nothing any more. Raft is no leader from the moment that it
// hears of a newer term, but it has yet to write the term down, and then the reign ends.
func TestHandOverEndsTheReigns(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		disks := map[string]*slowDisk{}
		w.configure = func(c *Config) {
			disks[c.Name] = &slowDisk{FS: c.FS}
			c.FS = disks[c.Name]
		}
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		led := func() (groups []uint32) {
			for _, r := range w.nodes["b"].describeSelf().Replicas {
				if r.Leads {
					groups = append(groups, r.Group)
				}
			}
			return groups
		}
		if before := led(); len(before) == 0 {
			t.Fatal("b leads nothing")
		}
		disks["b"].fsync.Store(int64(20 * time.Millisecond))
		w.nodes["b"].HandOver(w.within(time.Minute))
		if after := led(); len(after) > 0 {
			t.Errorf("b has handed over, and leads %v", after)
		}
	})
}
