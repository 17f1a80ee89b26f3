package peer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
)

// tcpWorld starts processes on loopback, each restart on the same address.
type tcpWorld struct {
	mu      sync.Mutex
	addrs   map[NodeID]string
	cluster map[NodeID]string
}

func (w *tcpWorld) start(t *testing.T, id NodeID) testNetwork {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	addr := w.addrs[id]
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	w.addrs[id] = l.Addr().String()
	cluster := w.cluster[id]
	n := NewTCP(TCPConfig{
		Self: id, Listener: l, Logger: slog.New(slog.DiscardHandler),
		Cluster: func() string { return cluster },
		Resolve: func(id NodeID) (string, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			a, ok := w.addrs[id]
			return a, ok
		},
	})
	t.Cleanup(func() { _ = n.Close() })
	n.Serve()
	return n
}

func newTCPWorld() *tcpWorld {
	return &tcpWorld{addrs: make(map[NodeID]string), cluster: make(map[NodeID]string)}
}

func TestTCPConformance(t *testing.T) {
	for _, c := range conformance {
		t.Run(c.name, func(t *testing.T) { c.run(t, newTCPWorld()) })
	}
}

func TestTCPRefusesAnotherCluster(t *testing.T) {
	w := newTCPWorld()
	w.cluster["a"], w.cluster["b"] = "one", "two"
	a, b := w.start(t, "a"), w.start(t, "b")
	for _, c := range []struct {
		from testNetwork
		to   NodeID
	}{{a, "b"}, {b, "a"}} {
		_, err := Call(t.Context(), c.from, c.to, "x", Normal, nil)
		if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrUnreachable) ||
			!strings.Contains(err.Error(), "one") || !strings.Contains(err.Error(), "two") {
			t.Errorf("from %s: %v", c.from.Self(), err)
		}
	}
}

func TestTCPAcceptsNodesWithoutCluster(t *testing.T) {
	w := newTCPWorld()
	w.cluster["a"] = "one"
	a, b := w.start(t, "a"), w.start(t, "b")
	b.Handle("x", func(_ NodeID, _ []byte, reply func([]byte, error)) { reply(nil, nil) })
	if _, err := Call(t.Context(), a, "b", "x", Normal, nil); err != nil {
		t.Error(err)
	}
}

func TestTCPRefusesAnotherNode(t *testing.T) {
	w := newTCPWorld()
	a := w.start(t, "a")
	w.start(t, "b")
	w.mu.Lock()
	w.addrs["c"] = w.addrs["b"]
	w.mu.Unlock()
	_, err := Call(t.Context(), a, "c", "x", Normal, nil)
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "node b") {
		t.Errorf("error %v", err)
	}
}

// A client that was given the port for other nodes is told for what it is.
func TestForeignProtocols(t *testing.T) {
	for begin, want := range map[string]string{
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":          "speaks HTTP or gRPC",
		"GET /healthz HTTP/1.1\r\nHost: n1\r\n\r\n": "speaks HTTP or gRPC",
		"\xff\xff\xff\xffsomething":                 "4294967295 bytes",
	} {
		_, err := readFrame(bufio.NewReader(strings.NewReader(begin)), nil)
		if !errors.Is(err, errFrame) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q in it", begin, err, want)
		}
	}
}

func TestTCPSurvivesGarbage(t *testing.T) {
	w := newTCPWorld()
	a, b := w.start(t, "a"), w.start(t, "b")
	b.Handle("x", func(_ NodeID, _ []byte, reply func([]byte, error)) { reply(nil, nil) })
	conn, err := net.Dial("tcp", w.addrs["b"])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: b\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes as the answer to garbage", n)
	}
	if _, err := Call(t.Context(), a, "b", "x", Normal, nil); err != nil {
		t.Error(err)
	}
}

// An urgent message overtakes a long one of a lower class between its pieces.
func TestOutboxOrder(t *testing.T) {
	o := newOutbox()
	put := func(class Class, number uint64, size int) {
		if !o.put(&message{kind: frameRequest, class: class, number: number, body: make([]byte, size)}) {
			t.Fatalf("message %d refused", number)
		}
	}
	put(Bulk, 1, 3*pieceBytes)
	var parts assembler
	var done []uint64
	take := func() {
		frame, ok := o.next(nil)
		if !ok {
			t.Fatal("nothing waits")
		}
		m, err := parts.add(frame[frameHeader:])
		if err != nil {
			t.Fatal(err)
		}
		if m != nil {
			done = append(done, m.number)
		}
	}
	take()
	put(Normal, 2, 10)
	put(Urgent, 3, 10)
	for range 4 {
		take()
	}
	if len(done) != 3 || done[0] != 3 || done[1] != 2 || done[2] != 1 {
		t.Errorf("order %v, want 3 2 1", done)
	}
	// Load does not starve the lower class for ever.
	put(Bulk, 4, 10)
	for i := range 40 {
		put(Normal, 100+uint64(i), 10)
	}
	done = nil
	for range fairness + 1 {
		take()
	}
	if !bytes.Contains(u64s(done), u64s([]uint64{4})) {
		t.Errorf("bulk message starved: %v", done)
	}
}

func u64s(v []uint64) []byte {
	b := make([]byte, len(v))
	for i, x := range v {
		b[i] = byte(x)
	}
	return b
}

func FuzzAssembler(f *testing.F) {
	whole, _, _ := appendPiece(nil, &message{kind: frameRequest, class: Normal, number: 7, method: "m", body: []byte("body")}, 0)
	f.Add(whole[frameHeader:])
	f.Fuzz(func(t *testing.T, p []byte) {
		var parts assembler
		m, err := parts.add(p)
		if err != nil || m == nil {
			return
		}
		again, _, done := appendPiece(nil, m, 0)
		if done && !bytes.Equal(again[frameHeader:], p) {
			t.Errorf("%x came back as %x", p, again[frameHeader:])
		}
	})
}

func FuzzHello(f *testing.F) {
	f.Add(hello{incarnation: 3, cluster: "c", from: "a", to: "b", refusal: "no"}.encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		h, err := decodeHello(p)
		if err != nil || len(p) > 200 {
			return
		}
		if again, err := decodeHello(h.encode()); err != nil || again != h {
			t.Errorf("%+v came back as %+v, %v", h, again, err)
		}
	})
}

func TestAnswerAfterCloseIsHarmless(t *testing.T) {
	w := newTCPWorld()
	a, b := w.start(t, "a"), w.start(t, "b")
	replies := make(chan func([]byte, error), 1)
	b.Handle("hold", func(_ NodeID, _ []byte, reply func([]byte, error)) { replies <- reply })
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := Call(ctx, a, "b", "hold", Normal, nil)
		result <- err
	}()
	reply := <-replies
	cancel()
	<-result
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	reply([]byte("late"), nil)
}
