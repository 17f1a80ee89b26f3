package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/freeaddr"
	"github.com/reprise-run/reprise/partition/leader"
)

// Three nodes with true TCP and true gossip on loopback, on memory disks.
func TestRealNetwork(t *testing.T) {
	w := &testWorld{t: t, runs: make(map[string]int)}
	var join []string
	nodes := make(map[string]*Node)
	configs := make(map[string]Config)
	for _, name := range []string{"a", "b", "c"} {
		configs[name] = Config{
			Name: name, DataDir: "/data", PeerAddr: freeAddr(t), GossipAddr: freeAddr(t), APIAddr: "127.0.0.1:1",
			BootstrapExpect: 3, Partitions: 3, FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler),
			OnFatal: func(err error) { t.Errorf("%s: %v", name, err) },
		}
		join = append(join, configs[name].GossipAddr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	startNode := func(name string) {
		cfg := configs[name]
		cfg.Join = join
		n, err := Start(ctx, cfg, w.registry(name))
		if err != nil {
			t.Fatalf("start %s: %v", name, err)
		}
		nodes[name] = n
	}
	stopNode := func(ctx context.Context, name string) {
		if err := nodes[name].Stop(ctx); err != nil {
			t.Errorf("stop %s: %v", name, err)
		}
		delete(nodes, name)
	}
	defer func() {
		for name := range nodes {
			stopNode(ctx, name)
		}
	}()
	// One of them listens by name: what it says of itself is what others see.
	named := configs["b"]
	_, port, err := net.SplitHostPort(named.GossipAddr)
	if err != nil {
		t.Fatal(err)
	}
	named.GossipAddr = "localhost:" + port
	configs["b"] = named
	for name := range configs {
		startNode(name)
	}
	for name, n := range nodes {
		if err := n.Ready(ctx); err != nil {
			t.Fatalf("%s is not ready: %v", name, err)
		}
	}
	complete := func(by *Node, id string) {
		t.Helper()
		if _, err := by.StartInstance(ctx, startOf("fan", id, 6)); err != nil {
			t.Fatalf("start %s: %v", id, err)
		}
		got, err := by.Wait(ctx, leader.WaitRequest{Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(id)}, Ended: true})
		if err != nil || got.Status != history.Completed {
			t.Fatalf("%s: %v, %v", id, got.Status, err)
		}
	}
	for i := range 3 {
		complete(nodes["a"], fmt.Sprint("first", i))
	}

	used := configs["a"]
	used.FS = vfs.NewMem()
	if _, err := Start(ctx, used, w.registry("a")); !errors.Is(err, ErrConfig) {
		t.Errorf("nobody to join: %v", err)
	}
	used.Join = join
	used.Name, used.FS, used.GossipAddr = "d", vfs.NewMem(), freeAddr(t)
	if _, err := Start(ctx, used, w.registry("d")); !errors.Is(err, ErrPortInUse) {
		t.Errorf("peer port in use: %v", err)
	}
	used.PeerAddr, used.GossipAddr = freeAddr(t), configs["a"].GossipAddr
	if _, err := Start(ctx, used, w.registry("d")); !errors.Is(err, ErrPortInUse) {
		t.Errorf("gossip port in use: %v", err)
	}

	// Another cluster's node is refused, and says why.
	stranger := Config{
		Name: "x", DataDir: "/data", PeerAddr: freeAddr(t), GossipAddr: freeAddr(t), BootstrapExpect: 1, Partitions: 1,
		FS: vfs.NewMem(), Logger: slog.New(slog.DiscardHandler),
	}
	x, err := Start(ctx, stranger, w.registry("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := x.Ready(ctx); err != nil {
		t.Fatal(err)
	}
	if err := x.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	stranger.Join = join
	if _, err := Start(ctx, stranger, w.registry("x")); !errors.Is(err, ErrOtherCluster) {
		t.Errorf("another cluster's data: %v", err)
	}

	// A node crashes; the others go on, and it comes back without being told whom
	// to join.
	done, crash := context.WithCancel(ctx)
	crash()
	stopNode(done, "b")
	complete(nodes["c"], "without b")
	join = nil
	for _, node := range nodes["c"].currentLayout().Nodes {
		if own := nodes[string(node.Name)]; own != nil && own.asLayoutNode() != node {
			t.Errorf("layout has %+v, and the node says %+v", node, own.asLayoutNode())
		}
	}
	startNode("b")
	complete(nodes["b"], "with b")
	if err := nodes["b"].Ready(ctx); err != nil {
		t.Error(err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	addr, err := freeaddr.Loopback()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}
