package raftlog

import (
	"context"
	"encoding/binary"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
)

type nodeID = peer.NodeID

// testCluster is a few hosts in one synctest bubble, on crashable disks and a
// network in memory.
type testCluster struct {
	t     *testing.T
	net   *peer.Memory
	nodes map[peer.NodeID]*testNode
	order []peer.NodeID
}

// testNode is one node. Its disk outlives its host.
type testNode struct {
	c     *testCluster
	id    peer.NodeID
	disk  *vfs.MemFS
	fs    vfs.FS // disk, or what a test puts around it
	tune  func(*Config)
	host  *Host
	group map[GroupID]*Group
	lead  map[GroupID]*testLeader
	fatal chan error
}

func newTestCluster(t *testing.T, tune func(*Config), ids ...peer.NodeID) *testCluster {
	c := &testCluster{t: t, net: peer.NewMemory(1), nodes: make(map[peer.NodeID]*testNode), order: ids}
	c.net.SetUsual(peer.Fault{MinDelay: 50 * time.Microsecond, MaxDelay: 200 * time.Microsecond})
	for _, id := range ids {
		c.nodes[id] = &testNode{c: c, id: id, disk: vfs.NewCrashableMem(), tune: tune}
		c.nodes[id].open()
	}
	t.Cleanup(c.close)
	return c
}

func (n *testNode) config() Config {
	node := n.c.net.Node(n.id)
	n.fatal = make(chan error, 1)
	fatal := n.fatal
	level := slog.LevelError + 4
	if os.Getenv("RAFTLOG_DEBUG") != "" {
		level = slog.LevelDebug
	}
	cfg := Config{
		Self: n.id, Dir: "data", FS: n.fs, Network: node,
		Logger:        slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})).With("node", n.id),
		MemTableBytes: 1 << 20,
		CacheBytes:    1 << 20,
		OnFatal:       func(err error) { fatal <- err },
	}
	if n.tune != nil {
		n.tune(&cfg)
	}
	return cfg
}

// open starts the node's host; its groups are started by start.
func (n *testNode) open() {
	n.c.t.Helper()
	if err := n.tryOpen(); err != nil {
		n.c.t.Fatalf("open %s: %v", n.id, err)
	}
}

func (n *testNode) tryOpen() error {
	if n.fs == nil {
		n.fs = n.disk
	}
	cfg := n.config()
	h, err := Open(cfg)
	if err != nil {
		return err
	}
	cfg.Network.(peer.LossReporter).OnLost(h.NodeLost)
	n.host, n.group, n.lead = h, make(map[GroupID]*Group), make(map[GroupID]*testLeader)
	return nil
}

func (n *testNode) start(g GroupID) {
	n.c.t.Helper()
	l := &testLeader{reigns: make(chan *Reign, 1024)}
	group, err := n.host.Start(g, l.run)
	if err != nil {
		n.c.t.Fatalf("start group %d on %s: %v", g, n.id, err)
	}
	n.group[g], n.lead[g] = group, l
}

func (n *testNode) create(g GroupID) ServerID {
	n.c.t.Helper()
	id, err := n.host.Create(g)
	if err != nil {
		n.c.t.Fatalf("create group %d on %s: %v", g, n.id, err)
	}
	return id
}

// crash ends the node as a power failure does: what was not synced is lost, or
// a random part of it.
func (n *testNode) crash(keepPercent int) {
	if n.host == nil {
		return
	}
	n.c.net.Crash(n.id)
	n.host.mute.Store(true)
	clone := n.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keepPercent, RNG: rand.New(rand.NewPCG(1, uint64(keepPercent)))})
	_ = n.host.Close()
	n.disk, n.fs, n.host = clone, clone, nil
}

func (n *testNode) stop() {
	if n.host == nil {
		return
	}
	if err := n.host.Close(); err != nil && !n.host.failed() {
		n.c.t.Errorf("close %s: %v", n.id, err)
	}
	n.c.net.Crash(n.id)
	n.host = nil
}

func (c *testCluster) close() {
	for _, id := range c.order {
		c.nodes[id].stop()
	}
	time.Sleep(time.Minute) // let the messages under way end
}

// bootstrap makes and starts a group on all nodes.
func (c *testCluster) bootstrap(groups ...GroupID) {
	c.t.Helper()
	for _, g := range groups {
		var servers []ServerID
		for _, id := range c.order {
			servers = append(servers, c.nodes[id].create(g))
		}
		for _, id := range c.order {
			if err := c.nodes[id].host.Bootstrap(g, servers); err != nil {
				c.t.Fatal(err)
			}
			c.nodes[id].start(g)
		}
	}
}

// reign waits until some node reigns over a group.
func (c *testCluster) reign(g GroupID) (*testNode, *Reign) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, id := range c.order {
			n := c.nodes[id]
			if n.host == nil || n.lead[g] == nil {
				continue
			}
			if r := n.lead[g].current(); r != nil && r.Confirm(context.Background()) == nil {
				return n, r
			}
		}
	}
	c.t.Fatalf("nobody leads group %d", g)
	return nil, nil
}

// eventually waits for a condition.
func (c *testCluster) eventually(what string, ok func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	for _, id := range c.order {
		n := c.nodes[id]
		if n.host != nil {
			for _, g := range n.group {
				c.t.Logf("%s: %+v", id, g.Stats())
			}
		}
	}
	c.t.Fatalf("not within two minutes: %s", what)
}

// eventuallyOr waits for a condition, or until a channel is closed.
func (c *testCluster) eventuallyOr(stop <-chan struct{}, what string, ok func() bool) {
	c.t.Helper()
	c.eventually(what, func() bool {
		select {
		case <-stop:
			return true
		default:
			return ok()
		}
	})
}

// put proposes writes until they are applied in one reign, and returns the leader.
func (c *testCluster) put(g GroupID, keysAndValues ...string) *testNode {
	c.t.Helper()
	for range 1000 {
		n, r := c.reign(g)
		seq, err := r.Propose(testBatch(g, keysAndValues...))
		if err == nil && waitApplied(r, seq) {
			return n
		}
		time.Sleep(10 * time.Millisecond) // until somebody reigns again
	}
	c.t.Fatalf("put into group %d failed", g)
	return nil
}

func waitApplied(r *Reign, seq uint64) bool {
	for r.Applied() < seq {
		select {
		case <-r.Advanced():
		case <-r.over:
			return r.Applied() >= seq
		}
	}
	return true
}

// testLeader notes the reigns of a replica.
type testLeader struct {
	reigns chan *Reign
	cur    syncReign
}

func (l *testLeader) run(ctx context.Context, r *Reign) {
	l.reigns <- r
	l.cur.set(r)
	<-ctx.Done()
	l.cur.set(nil)
}

func (l *testLeader) current() *Reign { return l.cur.get() }

func testKey(g GroupID, key string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(g)), append([]byte{1}, key...)...)
}

// testBatch is a batch that sets keys to values, alternating.
func testBatch(g GroupID, keysAndValues ...string) []byte {
	var b pebble.Batch
	for i := 0; i < len(keysAndValues); i += 2 {
		_ = b.Set(testKey(g, keysAndValues[i]), []byte(keysAndValues[i+1]), nil)
	}
	return append([]byte{}, b.Repr()...)
}

// read returns the value of a key in a node's state, "" if there is none.
func (n *testNode) read(g GroupID, key string) string {
	v, closer, err := n.host.state.Get(testKey(g, key))
	if err != nil {
		return ""
	}
	defer closer.Close()
	return string(v)
}

// contents is a digest of all of a group's state, the record included.
func (n *testNode) contents(g GroupID) uint64 {
	it, err := n.host.state.NewIter(&pebble.IterOptions{LowerBound: groupStart(g), UpperBound: groupEnd(g)})
	if err != nil {
		n.c.t.Fatal(err)
	}
	defer it.Close()
	var b []byte
	for ok := it.First(); ok; ok = it.Next() {
		b = appendBytes(appendBytes(b, it.Key()), it.Value())
	}
	return xxhash.Sum64(b)
}
