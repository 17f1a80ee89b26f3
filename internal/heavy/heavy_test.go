//go:build unix

package heavy

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestLockIsExclusive(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock")
	release, err := lock(name)
	if err != nil {
		t.Fatal(err)
	}
	other, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	try := func() error { return syscall.Flock(int(other.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
	if err := try(); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("while the lock is held: %v, want EWOULDBLOCK", err)
	}
	release()
	if err := try(); err != nil {
		t.Errorf("after the lock was let go: %v", err)
	}
}

func TestLockThatCannotBeHad(t *testing.T) {
	if _, err := lock(filepath.Join(t.TempDir(), "missing", "lock")); err == nil {
		t.Error("no error for a file in a directory that is not there")
	}
}
