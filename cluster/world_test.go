package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	work  = reprise.NewActivity[int, string]("work")
	fan   = reprise.NewOrchestration[int, []string]("fan")
	chain = reprise.NewOrchestration[int, int]("chain")
	rare  = reprise.NewOrchestration[int, int]("rare")
	tree  = reprise.NewOrchestration[branch, int]("tree")
	item  = reprise.NewEvent[int]("item")
	list  = reprise.NewOrchestration[collection, []int]("list")
)

// branch is the input of a tree of orchestrations: so many children, and so many
// levels of them below this one.
type branch struct{ Width, Depth int }

// collection is the input of an orchestration that collects so many items, and
// continues as new whenever it has seven more.
type collection struct {
	Want int
	Have []int
}

// testWorld is a cluster in one process and one bubble.
type testWorld struct {
	options []reprise.RegistryOption
	spans   func(history.Span)
	t       *testing.T
	network *peer.Memory
	members *testMembers
	disks   map[string]*vfs.MemFS
	nodes   map[string]*Node
	fatal   map[string]error
	log     io.Writer // what nodes log, if it is set
	// bind binds more functions, and configure changes a node, where they are set.
	bind      func(r *reprise.Registry, node string)
	configure func(c *Config)

	mu     sync.Mutex // guards the fields below
	runs   map[string]int
	clocks map[string]time.Duration // how wrong a node's clock is
	logs   strings.Builder          // what people should know, of all nodes
	causes map[string][]error       // why lingering activities of a node were told to end
	undone map[string]bool          // instances that cleaned up
}

// Write takes in what nodes log.
func (w *testWorld) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.logs.Write(line)
}

// logged returns what was logged since the last call.
func (w *testWorld) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.logs.Reset()
	return w.logs.String()
}

// bubble runs a test with a world.
func bubble(t *testing.T, f func(t *testing.T, w *testWorld)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &testWorld{
			t: t, network: peer.NewMemory(1), members: &testMembers{views: make(map[peer.NodeID]*testView)},
			disks: make(map[string]*vfs.MemFS), nodes: make(map[string]*Node),
			fatal: make(map[string]error), runs: make(map[string]int), clocks: make(map[string]time.Duration),
		}
		defer func() {
			for name := range w.nodes {
				w.crash(name)
			}
			time.Sleep(time.Minute) // let the messages under way end
		}()
		f(t, w)
	})
}

// registry binds the functions that all nodes have; extra ones are bound by name.
func (w *testWorld) registry(node string, extra ...string) *reprise.Registry {
	r := reprise.NewRegistry(append([]reprise.RegistryOption{reprise.WithLogger(slog.New(slog.DiscardHandler))}, w.options...)...)
	reprise.Bind(r, work, func(ctx context.Context, n int) (string, error) {
		w.mu.Lock()
		w.runs[node]++
		w.mu.Unlock()
		select {
		case <-time.After(time.Duration(n) * time.Millisecond):
			return node, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	reprise.Bind(r, fan, func(o *reprise.Orchestration, n int) ([]string, error) {
		var futures []reprise.Future[string]
		for range n {
			futures = append(futures, work.Start(o, 100))
		}
		var nodes []string
		for _, f := range futures {
			node, err := f.Await(o)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, node)
		}
		return nodes, nil
	})
	reprise.Bind(r, chain, func(o *reprise.Orchestration, n int) (int, error) {
		for range n {
			if _, err := work.Call(o, 1); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
	reprise.Bind(r, tree, func(o *reprise.Orchestration, b branch) (int, error) {
		if b.Depth == 0 {
			_, err := work.Call(o, 20)
			return 1, err
		}
		var futures []reprise.Future[int]
		for range b.Width {
			futures = append(futures, tree.Start(o, branch{b.Width, b.Depth - 1}))
		}
		leaves, err := reprise.All(o, futures...)
		sum := 0
		for _, n := range leaves {
			sum += n
		}
		return sum, err
	})
	reprise.Bind(r, list, func(o *reprise.Orchestration, c collection) ([]int, error) {
		for range 7 {
			if len(c.Have) == c.Want {
				return c.Have, nil
			}
			n, err := item.Await(o)
			if err != nil {
				return nil, err
			}
			c.Have = append(c.Have, n)
		}
		return nil, list.ContinueAsNew(o, c)
	})
	bindEntities(r, slices.Contains(extra, "rare"))
	w.bindCareful(r, node)
	bindAsked(r)
	if w.bind != nil {
		w.bind(r, node)
	}
	bindPurse(r)
	bindSteppers(r, extra)
	if slices.Contains(extra, "rare") {
		reprise.Bind(r, rare, func(o *reprise.Orchestration, n int) (int, error) {
			answerSum(o, &n)
			_, err := work.Call(o, 1)
			if n < 0 { // it waits for ever, to be asked
				_, err = item.Await(o)
			}
			return n + 1, err
		})
	}
	return r
}

// start starts a node on its disk, which is made if it has none.
func (w *testWorld) start(name string, expect int, extra ...string) *Node {
	w.t.Helper()
	n, err := w.tryStart(name, expect, extra...)
	if err != nil {
		w.t.Fatalf("start %s: %v", name, err)
	}
	return n
}

func (w *testWorld) tryStart(name string, expect int, extra ...string) (*Node, error) {
	if w.disks[name] == nil {
		w.disks[name] = vfs.NewMem()
	}
	logger := slog.New(slog.NewTextHandler(w, nil))
	if os.Getenv("CLUSTER_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if w.log != nil {
		logger = slog.New(slog.NewTextHandler(w.log, nil))
	}
	config := Config{
		Name: name, DataDir: "/data", APIAddr: name + ":1", BootstrapExpect: expect, Partitions: 4,
		FS: w.disks[name], Network: w.network.Node(peer.NodeID(name)), Members: w.members.node(), Logger: logger,
		OnFatal: func(err error) { w.fatal[name] = err }, Spans: w.spans,
		Clock: func() time.Time {
			w.mu.Lock()
			defer w.mu.Unlock()
			return time.Now().Add(w.clocks[name])
		},
	}
	if w.configure != nil {
		w.configure(&config)
	}
	n, err := Start(w.t.Context(), config, w.registry(name, extra...))
	if err == nil {
		w.nodes[name] = n
	}
	return n, err
}

// crash ends a node without a word. Its disk keeps what was written.
func (w *testWorld) crash(name string) {
	n := w.nodes[name]
	delete(w.nodes, name)
	w.network.Crash(peer.NodeID(name))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := n.Stop(ctx); err != nil {
		w.t.Errorf("crash %s: %v", name, err)
	}
}

// setClock makes a node's clock wrong.
func (w *testWorld) setClock(name string, ahead time.Duration) {
	w.mu.Lock()
	w.clocks[name] = ahead
	w.mu.Unlock()
}

// ready waits until all partitions have leaders.
func (w *testWorld) ready() {
	w.t.Helper()
	for name, n := range w.nodes {
		if err := n.Ready(w.within(time.Minute)); err != nil {
			w.t.Fatalf("%s is not ready: %v", name, err)
		}
	}
}

// within is a context that ends after d of the bubble's time.
func (w *testWorld) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(w.t.Context(), d)
	w.t.Cleanup(cancel)
	return ctx
}

// eventually waits until ok is true of the cluster as a node describes it.
func (w *testWorld) eventually(n *Node, what string, ok func(Description) bool) Description {
	w.t.Helper()
	var d Description
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		var err error
		if d, err = n.Describe(w.t.Context()); err == nil && ok(d) {
			return d
		}
	}
	w.t.Fatalf("%s does not become true: %s", what, mustJSON(d))
	return d
}

func startOf(name, id string, input any) leader.StartRequest {
	b, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return leader.StartRequest{
		Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(id)}, Execution: history.ExecutionID(fmt.Sprintf("%032x", id)[:32]),
		Name: name, Input: b, Identity: leader.RequestIdentity{ID: "start " + id, Sent: time.Now()},
	}
}

// run starts an orchestration by way of one node and waits by way of another.
func (w *testWorld) run(by, wait *Node, req leader.StartRequest) leader.Instance {
	w.t.Helper()
	if _, err := by.StartInstance(w.within(time.Minute), req); err != nil {
		w.t.Fatalf("start %s: %v", req.Instance.ID, err)
	}
	i, err := wait.Wait(w.within(5*time.Minute), leader.WaitRequest{Instance: req.Instance, Ended: true, Payloads: true})
	if err != nil {
		w.t.Fatalf("wait for %s: %v", req.Instance.ID, err)
	}
	if i.Status != history.Completed {
		w.t.Fatalf("%s is %v: %+v", req.Instance.ID, i.Status, i.Failure)
	}
	return i
}

// testMembers is a membership that knows everything at once, except deaths.
type testMembers struct {
	mu    sync.Mutex
	views map[peer.NodeID]*testView
}

type testView struct {
	hub     *testMembers
	self    Member
	changed func()
}

const testDeathDelay = 1400 * time.Millisecond

func (m *testMembers) node() *testView { return &testView{hub: m} }

func (v *testView) Start(_ context.Context, self Member, _ []string, changed func()) error {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	for _, other := range v.hub.views {
		if self.Cluster != "" && other.self.Cluster != "" && self.Cluster != other.self.Cluster {
			return ErrOtherCluster
		}
	}
	v.self, v.changed = self, changed
	v.hub.views[self.Name] = v
	v.hub.tell()
	return nil
}

// tell wakes everybody. Call with mu held.
func (m *testMembers) tell() {
	for _, v := range m.views {
		v.changed()
	}
}

func (v *testView) Members() []Member {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	var all []Member
	for _, other := range v.hub.views {
		all = append(all, other.self)
	}
	return all
}

func (v *testView) Update(self Member) {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	if v.hub.views[self.Name] != v || v.self == self {
		return
	}
	v.self = self
	v.hub.tell()
}

func (v *testView) Leave(context.Context) error {
	v.hub.mu.Lock()
	defer v.hub.mu.Unlock()
	v.leave()
	return nil
}

func (v *testView) leave() {
	if v.hub.views[v.self.Name] == v {
		delete(v.hub.views, v.self.Name)
		v.hub.tell()
	}
}

// Close is a death: the others notice it late.
func (v *testView) Close() error {
	time.AfterFunc(testDeathDelay, func() {
		v.hub.mu.Lock()
		defer v.hub.mu.Unlock()
		v.leave()
	})
	return nil
}
