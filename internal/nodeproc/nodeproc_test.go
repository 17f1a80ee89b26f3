package nodeproc

import (
	"runtime"
	"runtime/debug"
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

func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 300, 10 << 20: 300, 40 << 20: 200, 80 << 20: 100, 8 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes alive: %d %%, want %d", live, got, want)
		}
	}
}

// TestPace: the percentage follows the live heap, more than once.
func TestPace(t *testing.T) {
	t.Setenv("GOGC", "")
	Prepare()
	percent := func() int {
		now := debug.SetGCPercent(mostPercent)
		debug.SetGCPercent(now)
		return now
	}
	await := func(what string, want int) {
		for range 1000 {
			runtime.GC()
			if percent() == want {
				return
			}
			runtime.Gosched()
		}
		t.Fatalf("%s: still %d %%, want %d", what, percent(), want)
	}
	await("at the start", mostPercent)
	held := make([]byte, 2*spareBytes)
	await("with a large heap", leastPercent)
	runtime.KeepAlive(held)
	await("with a small heap again", mostPercent)
}
