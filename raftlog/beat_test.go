package raftlog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever waits is released at the next moment of the grid, all at once, and
// nobody waits for longer than one interval.
func TestBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBeat(500 * time.Millisecond)
		began := time.Now()
		released := make(chan time.Duration, 3)
		for _, at := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, 130 * time.Millisecond} {
			go func() {
				time.Sleep(at)
				if !b.wait(t.Context()) {
					t.Error("wait ended early")
				}
				released <- time.Since(began)
			}()
		}
		for i, want := range []time.Duration{125 * time.Millisecond, 125 * time.Millisecond, 250 * time.Millisecond} {
			if got := <-released; got != want {
				t.Errorf("release %d came after %s, want %s", i, got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.wait(ctx) {
			t.Error("wait outlived its context")
		}
	})
}
