package cluster

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
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
