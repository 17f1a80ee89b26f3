package nodeproc

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestPrepare(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	t.Cleanup(func() { runtime.GOMAXPROCS(before) })
	t.Setenv("GOMAXPROCS", "")
	Prepare()
	if got := runtime.GOMAXPROCS(0); got < 8 {
		t.Errorf("%d processors", got)
	}
}

// One thread has the longer slack, or none without the capability.
func TestCalmMonitor(t *testing.T) {
	calmMonitor()
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(threads) == 0 {
		t.Skip("no /proc")
	}
	calm := 0
	for _, path := range threads {
		slack, err := os.ReadFile("/proc/" + filepath.Base(path) + "/timerslack_ns")
		if err != nil {
			t.Skip(err) // no such file, or it may not be read
		}
		if strings.TrimSpace(string(slack)) == "1000000" {
			calm++
		}
	}
	if calm > 1 {
		t.Errorf("%d threads of %d have a longer slack", calm, len(threads))
	}
}
