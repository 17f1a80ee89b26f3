package peer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type memoryWorld struct{ hub *Memory }

func (w memoryWorld) start(_ *testing.T, id NodeID) testNetwork { return w.hub.Node(id) }

func TestMemoryConformance(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, memoryWorld{NewMemory(1)}) })
		})
	}
}

// pair is two nodes of which b counts the requests that it handles.
func pair(seed uint64) (hub *Memory, a, b *MemoryNode, handled *[]byte) {
	hub = NewMemory(seed)
	a, b = hub.Node("a"), hub.Node("b")
	handled = new([]byte)
	b.Handle("n", func(_ NodeID, body []byte, reply func([]byte, error)) {
		*handled = append(*handled, body...)
		reply(body, nil)
	})
	return hub, a, b, handled
}

func TestMemoryFaults(t *testing.T) {
	cases := []struct {
		name     string
		ab, ba   Fault
		err      error
		handled  int
		duration time.Duration
	}{
		{"none", Fault{}, Fault{}, nil, 1, 0},
		{"request lost", Fault{Cut: true}, Fault{}, ErrUnreachable, 0, memoryLossTimeout},
		{"answer lost", Fault{}, Fault{Cut: true}, ErrUnreachable, 1, memoryLossTimeout},
		{"dropped", Fault{Drop: 1}, Fault{}, ErrUnreachable, 0, memoryLossTimeout},
		{"doubled", Fault{Duplicate: 1}, Fault{Duplicate: 1}, nil, 2, 0},
		{"delayed", Fault{MinDelay: time.Second, MaxDelay: time.Second}, Fault{MinDelay: time.Minute, MaxDelay: time.Minute}, nil, 1, time.Second + time.Minute},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hub, a, _, handled := pair(1)
				hub.SetLink("a", "b", c.ab)
				hub.SetLink("b", "a", c.ba)
				start := time.Now()
				_, err := Call(t.Context(), a, "b", "n", Normal, []byte{1})
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if took := time.Since(start); took != c.duration {
					t.Errorf("took %v, want %v", took, c.duration)
				}
				synctest.Wait()
				if len(*handled) != c.handled {
					t.Errorf("handled %d times, want %d", len(*handled), c.handled)
				}
			})
		})
	}
}

func TestMemoryReorders(t *testing.T) {
	order := func(seed uint64) string {
		var got string
		synctest.Test(t, func(t *testing.T) {
			hub, a, _, handled := pair(seed)
			hub.SetUsual(Fault{Reorder: 0.5, MinDelay: time.Millisecond, MaxDelay: 9 * time.Millisecond})
			for i := range 20 {
				a.Request(t.Context(), "b", "n", Normal, []byte{'a' + byte(i)}, func([]byte, error) {})
			}
			time.Sleep(time.Second) // longer than any of them is under way
			synctest.Wait()
			got = string(*handled)
		})
		return got
	}
	first := order(3)
	if len(first) != 20 || first == "abcdefghijklmnopqrst" {
		t.Errorf("order %q", first)
	}
	if again := order(3); again != first {
		t.Errorf("the same seed gave %q, then %q", first, again)
	}
	if other := order(4); other == first {
		t.Errorf("another seed gave %q too", other)
	}
}

func TestMemoryPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, a, _, handled := pair(1)
		hub.Pause("b")
		done := make(chan error, 1)
		a.Request(t.Context(), "b", "n", Normal, []byte{1}, func(_ []byte, err error) { done <- err })
		time.Sleep(time.Hour) // longer than anything is waited for
		synctest.Wait()
		if len(*handled) != 0 || len(done) != 0 {
			t.Fatal("a paused node handled a request")
		}
		hub.Resume("b")
		if err := <-done; err != nil {
			t.Error(err)
		}
		hub.Pause("b")
		a.Request(t.Context(), "b", "n", Normal, []byte{1}, func(_ []byte, err error) { done <- err })
		hub.Crash("b")
		if err := <-done; !errors.Is(err, ErrUnreachable) {
			t.Errorf("crashed while paused: %v", err)
		}
	})
}

func TestMemoryBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub, a, _, _ := pair(1)
		hub.SetUsual(Fault{MinDelay: time.Second, MaxDelay: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		busy := 0
		for range maxQueuedMessages + 5 {
			a.Request(ctx, "b", "n", Normal, nil, func(_ []byte, err error) {
				if errors.Is(err, ErrBusy) {
					busy++ // ErrBusy is told before Request returns
				}
			})
		}
		if busy != 5 {
			t.Errorf("%d requests refused, want 5", busy)
		}
		if _, err := Call(t.Context(), a, "b", "n", Urgent, nil); err != nil {
			t.Errorf("another class: %v", err)
		}
		cancel()
		time.Sleep(time.Minute) // let the requests under way end
		synctest.Wait()
	})
}
