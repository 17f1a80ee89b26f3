package raftlog

import (
	"testing"
	"testing/synctest"
	"time"
)

// A disk that takes long is late before it is given up, and no more when it goes on.
func TestDiskIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var given, timed []time.Duration
		began := time.Now()
		fs := &diskFS{
			stall: 20 * time.Second,
			fatal: func(error) { given = append(given, time.Since(began)) },
			timed: func(took time.Duration) { timed = append(timed, took) },
		}
		h := &Host{fs: fs}
		for _, c := range []struct {
			takes time.Duration
			late  bool // after 6 s
			given bool
		}{
			{4 * time.Second, false, false},
			{12 * time.Second, true, false},
			{30 * time.Second, true, true},
		} {
			given, timed, began = nil, nil, time.Now()
			go func() { _ = fs.fsync("f", func() error { time.Sleep(c.takes); return nil }) }() // it does not fail
			time.Sleep(6 * time.Second)
			if h.DiskLate() != c.late {
				t.Errorf("%v: late %v after 6 s", c.takes, h.DiskLate())
			}
			time.Sleep(time.Minute) // longer than any of them takes
			synctest.Wait()
			if h.DiskLate() || len(timed) != 1 || timed[0] != c.takes {
				t.Errorf("%v: late %v when it is over, timed %v", c.takes, h.DiskLate(), timed)
			}
			if (len(given) == 1 && given[0] == fs.stall) != c.given || len(given) > 1 {
				t.Errorf("%v: given up after %v", c.takes, given)
			}
		}
	})
}
