package peer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
)

// testNetwork is what the conformance suite needs to know of an implementation.
type testNetwork interface {
	Network
	LossReporter
	Close() error
}

// world makes processes that can reach each other.
type world interface {
	start(t *testing.T, id NodeID) testNetwork
}

// conformance is the suite that every implementation of Network passes. Each
// case gets a world of its own.
var conformance = []struct {
	name string
	run  func(t *testing.T, w world)
}{
	{"request and answer", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		b.Handle("echo", func(from NodeID, body []byte, reply func([]byte, error)) {
			reply(append([]byte(from+":"), body...), nil)
		})
		for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 3 << 20} {
			body := bytes.Repeat([]byte{7}, size)
			got, err := Call(t.Context(), a, "b", "echo", Normal, body)
			if err != nil || !bytes.Equal(got, append([]byte("a:"), body...)) {
				t.Fatalf("%d bytes: answer of %d bytes, error %v", size, len(got), err)
			}
		}
		if !a.Connected("b") {
			t.Error("not connected after an answer")
		}
	}},
	{"to the node itself", func(t *testing.T, w world) {
		a := w.start(t, "a")
		a.Handle("echo", func(from NodeID, body []byte, reply func([]byte, error)) { reply([]byte(from), nil) })
		got, err := Call(t.Context(), a, "a", "echo", Urgent, nil)
		if err != nil || string(got) != "a" {
			t.Fatalf("got %q, %v", got, err)
		}
	}},
	{"errors of the handler", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		b.Handle("fail", func(_ NodeID, _ []byte, reply func([]byte, error)) { reply(nil, errors.New("no")) })
		var remote *RemoteError
		if _, err := Call(t.Context(), a, "b", "fail", Normal, nil); !errors.As(err, &remote) || remote.Message != "no" || remote.Node != "b" {
			t.Errorf("handler's error: %v", err)
		}
		if _, err := Call(t.Context(), a, "b", "nothing", Normal, nil); !errors.Is(err, ErrNoHandler) {
			t.Errorf("unknown method: %v", err)
		}
	}},
	{"too long is refused before it is sent", func(t *testing.T, w world) {
		a := w.start(t, "a")
		w.start(t, "b")
		if _, err := Call(t.Context(), a, "b", "x", Bulk, make([]byte, MaxMessageBytes+1)); !errors.Is(err, ErrTooLong) {
			t.Errorf("error %v", err)
		}
	}},
	{"order within a class", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		var got [3][]byte // the handler is called on one goroutine
		b.Handle("n", func(_ NodeID, body []byte, reply func([]byte, error)) {
			got[body[0]] = append(got[body[0]], body[1])
			reply(nil, nil)
		})
		var wg sync.WaitGroup
		for i := range 200 {
			for class := Urgent; class <= Bulk; class++ {
				wg.Add(1)
				a.Request(t.Context(), "b", "n", class, append([]byte{byte(class), byte(i)}, make([]byte, i*100)...), func(_ []byte, err error) {
					if err != nil {
						t.Error(err)
					}
					wg.Done()
				})
			}
		}
		wg.Wait()
		for class, seen := range got {
			for i, n := range seen {
				if int(n) != i {
					t.Fatalf("class %d: message %d came as number %d", class, n, i)
				}
			}
			if len(seen) != 200 {
				t.Errorf("class %d: %d messages", class, len(seen))
			}
		}
	}},
	{"a context ends the wait", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		handled := make(chan func([]byte, error), 1)
		b.Handle("hold", func(_ NodeID, _ []byte, reply func([]byte, error)) { handled <- reply })
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := Call(ctx, a, "b", "hold", Normal, nil)
			result <- err
		}()
		reply := <-handled
		cancel()
		if err := <-result; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		reply(nil, nil) // too late, and harmless
		if _, err := Call(ctx, a, "b", "hold", Normal, nil); !errors.Is(err, context.Canceled) {
			t.Errorf("ended context: %v", err)
		}
	}},
	{"nobody there", func(t *testing.T, w world) {
		a := w.start(t, "a")
		if _, err := Call(t.Context(), a, "ghost", "x", Normal, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("error %v", err)
		}
		if a.Connected("ghost") {
			t.Error("connected to nobody")
		}
	}},
	{"a lost process fails what waits, is reported, and comes back", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		lost := make(chan NodeID, 16)
		a.OnLost(func(id NodeID) {
			select {
			case lost <- id:
			default:
			}
		})
		handled := make(chan struct{})
		b.Handle("hold", func(NodeID, []byte, func([]byte, error)) { close(handled) })
		result := make(chan error, 1)
		go func() {
			_, err := Call(t.Context(), a, "b", "hold", Normal, nil)
			result <- err
		}()
		<-handled
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, ErrUnreachable) {
			t.Errorf("error %v", err)
		}
		if id := <-lost; id != "b" {
			t.Errorf("lost %s", id)
		}
		b = w.start(t, "b")
		b.Handle("echo", func(_ NodeID, body []byte, reply func([]byte, error)) { reply(body, nil) })
		for {
			if got, err := Call(t.Context(), a, "b", "echo", Normal, []byte("again")); err == nil {
				if string(got) != "again" {
					t.Errorf("got %q", got)
				}
				return
			} else if !errors.Is(err, ErrUnreachable) {
				t.Fatal(err)
			}
		}
	}},
	{"closing fails what waits", func(t *testing.T, w world) {
		a, b := w.start(t, "a"), w.start(t, "b")
		handled := make(chan struct{})
		b.Handle("hold", func(NodeID, []byte, func([]byte, error)) { close(handled) })
		result := make(chan error, 1)
		go func() {
			_, err := Call(t.Context(), a, "b", "hold", Normal, nil)
			result <- err
		}()
		<-handled
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if err := <-result; !errors.Is(err, ErrUnreachable) {
			t.Errorf("waiting: %v", err)
		}
		if _, err := Call(t.Context(), a, "b", "hold", Normal, nil); !errors.Is(err, ErrUnreachable) {
			t.Errorf("after: %v", err)
		}
	}},
	{"many senders at once", func(t *testing.T, w world) {
		nodes := []testNetwork{w.start(t, "a"), w.start(t, "b"), w.start(t, "c")}
		for _, n := range nodes {
			n.Handle("who", func(from NodeID, body []byte, reply func([]byte, error)) {
				go reply(fmt.Appendf(nil, "%s>%s %s", from, n.Self(), body), nil)
			})
		}
		var wg sync.WaitGroup
		for _, from := range nodes {
			for _, to := range nodes {
				for i := range 50 {
					wg.Go(func() {
						got, err := Call(t.Context(), from, to.Self(), "who", Normal, fmt.Append(nil, i))
						if want := fmt.Sprintf("%s>%s %d", from.Self(), to.Self(), i); err != nil || string(got) != want {
							t.Errorf("got %q, %v, want %q", got, err, want)
						}
					})
				}
			}
		}
		wg.Wait()
	}},
}
