package cluster

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// TestPowerCutAfterTheFirstStart: what a node has written for ever is there after
// everything that was not synced is lost, the directory itself included.
func TestPowerCutAfterTheFirstStart(t *testing.T) {
	for _, path := range []string{"/data", "/var/lib/reprise/data", "data"} {
		disk := vfs.NewCrashableMem()
		d, err := openDataDir(disk, path, "n1")
		if err != nil {
			t.Fatal(err)
		}
		if err := d.update(func(r *nodeRecord) { r.Cluster = "c" }); err != nil {
			t.Fatal(err)
		}
		disk = disk.CrashClone(vfs.CrashCloneCfg{})
		if d, err = openDataDir(disk, path, "n1"); err != nil {
			t.Fatal(err)
		}
		if got := d.get().Cluster; got != "c" {
			t.Errorf("%s: the cluster is %q after a power cut", path, got)
		}
	}
}

// TestFailedRecordEndsTheNode: what a node could not write down, it must not go on
// to act upon, nor try again as if nothing had happened.
func TestFailedRecordEndsTheNode(t *testing.T) {
	inject := errorfs.Toggle{Injector: errorfs.ErrInjected}
	d, err := openDataDir(errorfs.Wrap(vfs.NewMem(), &inject), "/data", "n1")
	if err != nil {
		t.Fatal(err)
	}
	var fatal error
	d.failed = func(err error) { fatal = err }
	inject.On()
	err = d.update(func(r *nodeRecord) { r.Cluster = "c" })
	if !errors.Is(err, ErrNotWritable) || !errors.Is(fatal, ErrNotWritable) || d.get().Cluster != "" {
		t.Errorf("update: %v, told: %v, record: %+v", err, fatal, d.get())
	}
}
