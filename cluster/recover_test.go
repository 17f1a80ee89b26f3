package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// recovering is the configuration of a recovery from a node's disk.
func (w *testWorld) recovering(name string, lost ...string) RecoverConfig {
	return RecoverConfig{DataDirs: []string{"/data"}, Lost: lost, FS: w.disks[name]}
}

// inspect looks at the disk of a node.
func (w *testWorld) inspect(name string) StoppedNode {
	w.t.Helper()
	nodes, err := Inspect(w.recovering(name))
	if err != nil {
		w.t.Fatalf("inspect %s: %v", name, err)
	}
	return nodes[0]
}

// allVote says whether every group has so many voters, all there, and a leader.
func allVote(d Description, voters int) bool {
	for _, p := range d.Partitions {
		there := 0
		for _, r := range p.Replicas {
			if r.Voter && r.Reachable {
				there++
			}
		}
		if there != voters || len(p.Replicas) != voters || p.Leader == "" {
			return false
		}
	}
	return true
}

// level says whether all replicas have applied the same.
func level(d Description) bool {
	for _, p := range d.Partitions {
		for _, r := range p.Replicas {
			if !r.Reachable || r.Applied != p.Replicas[0].Applied {
				return false
			}
		}
	}
	return true
}

// written makes a cluster of a, b and c with ended instances, the same on all three.
func (w *testWorld) written(count int) {
	w.t.Helper()
	a, b, c := w.start("a", 3), w.start("b", 3), w.start("c", 3)
	w.ready()
	for i := range count {
		w.run(a, b, startOf("chain", fmt.Sprint("x", i), 2))
	}
	w.eventually(c, "all three vote", func(d Description) bool { return allVote(d, 3) })
	w.eventually(c, "all three have the same", level)
}

// complete checks that the instances of written are there.
func (w *testWorld) complete(by *Node, count int) {
	w.t.Helper()
	for i := range count {
		in, err := by.Status(w.within(time.Minute), leader.StatusRequest{Instance: leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("x", i))}})
		if err != nil || in.Status != history.Completed {
			w.t.Fatalf("x%d: %+v, %v", i, in, err)
		}
	}
}

// TestRecoverGoesOnFromTheSurvivor loses the disks of two nodes for ever.
func TestRecoverGoesOnFromTheSurvivor(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.written(8)
		for _, name := range []string{"b", "c"} {
			w.crash(name)
			delete(w.disks, name)
		}
		if _, err := Recover(w.recovering("a", "b", "c")); !errors.Is(err, ErrLocked) {
			t.Fatalf("while the node runs: %v", err)
		}
		w.crash("a")
		if r, err := PlanRecovery(w.recovering("a", "b", "c")); err != nil || len(r.Groups) != 5 || !r.Groups[0].Chosen {
			t.Fatalf("plan %+v: %v", r, err)
		}
		r, err := Recover(w.recovering("a", "b", "c"))
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range r.Groups {
			if g.Identity == "" || g.Identity.Lineage().Generation() != 1 {
				t.Errorf("group %d: %+v", g.Group, g)
			}
		}
		a := w.start("a", 3)
		w.ready()
		w.complete(a, 8)
		w.run(a, a, startOf("chain", "alone", 2))
		b, c := w.start("b", 0), w.start("c", 0)
		w.eventually(a, "all three vote again", func(d Description) bool { return allVote(d, 3) })
		w.ready()
		w.crash("a")
		w.complete(b, 8)
		w.run(b, c, startOf("chain", "without a", 2))
		if l := c.currentLayout(); l.Recovered != 1 || l.Version <= recoveredVersions {
			t.Errorf("layout %d of recovery %d", l.Version, l.Recovered)
		}
	})
}

// TestOldMajorityStops brings the lost nodes back with their disks, after the third
// one was recovered and has gone on. They must not serve beside it.
func TestOldMajorityStops(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.written(4)
		for _, name := range []string{"a", "b", "c"} {
			w.crash(name)
		}
		if _, err := Recover(w.recovering("a", "b", "c")); err != nil {
			t.Fatal(err)
		}
		a := w.start("a", 3)
		w.ready()
		w.run(a, a, startOf("chain", "after", 2))
		old := w.inspect("b")
		b, c := w.start("b", 3), w.start("c", 3)
		for _, n := range []*Node{b, c} {
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
				stopped := 0
				for g, group := range n.groups() {
					s := group.Stats()
					if strings.Contains(s.Quarantined, "recovered without it") {
						stopped++
					}
					if s.Role == "leader" {
						t.Errorf("%s leads group %d beside the recovered one", n.self, g)
					}
				}
				if stopped == 5 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: %d of 5 replicas have stopped", n.self, stopped)
				}
			}
		}
		// They still answer requests, by way of those who lead.
		w.complete(b, 4)
		w.run(c, b, startOf("chain", "by way of c", 2))
		// Started again they are new replicas.
		for _, name := range []string{"b", "c"} {
			w.crash(name)
			w.start(name, 0)
		}
		w.eventually(a, "all three vote again", func(d Description) bool { return allVote(d, 3) })
		w.complete(w.nodes["c"], 4)
		for _, r := range old.Replicas {
			if s := w.nodes["b"].groups()[uint32(r.Group)].Stats(); s.Server == r.Server || s.Server.Lineage() == "" {
				t.Errorf("group %d: the old replica %s is %s", r.Group, r.Server, s.Server)
			}
		}
	})
}

// TestRecoverOnTwoNodes loses two of four nodes. Some groups have lost their majority
// and are recovered, each on the node that is left of it; the others elect as ever.
func TestRecoverOnTwoNodes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		nodes := []string{"a", "b", "c", "d"}
		for _, name := range nodes {
			w.start(name, 4)
		}
		w.ready()
		for i := range 8 {
			w.run(w.nodes["a"], w.nodes["d"], startOf("chain", fmt.Sprint("x", i), 2))
		}
		w.eventually(w.nodes["a"], "all vote", func(d Description) bool { return allVote(d, replication) && level(d) })
		// On d there is a blank replica of each group that is elsewhere, as if a node
		// had been asked to make it and its group had thought better of it.
		l := w.nodes["d"].currentLayout()
		var stray []uint32
		for _, g := range l.groups() {
			if p, _ := l.group(g); !slices.Contains(p.Replicas, "d") {
				if _, err := w.nodes["d"].ensureReplica(l.Cluster, g, ""); err != nil {
					t.Fatal(err)
				}
				stray = append(stray, g)
			}
		}
		for _, name := range nodes {
			w.crash(name)
		}
		a, d := w.inspect("a"), w.inspect("d")
		recovered := map[uint32]string{}
		for name, report := range map[string]StoppedNode{"a": d, "d": a} {
			cfg := w.recovering(name, "b", "c")
			cfg.Reports = []StoppedNode{report}
			r, err := Recover(cfg)
			if err != nil && !errors.Is(err, ErrRecoveryRefused) {
				t.Fatal(err)
			}
			for _, g := range r.Groups {
				if g.Identity != "" {
					recovered[uint32(g.Group)] += name
				}
			}
		}
		for _, g := range l.groups() {
			want, left := "", []string{}
			p, _ := l.group(g)
			for _, name := range p.Replicas {
				if name == "a" || name == "d" {
					left = append(left, string(name))
				}
			}
			if len(left) == 1 {
				want = left[0]
			}
			if recovered[g] != want {
				t.Errorf("group %d with replicas on %v was recovered on %q, want %q", g, p.Replicas, recovered[g], want)
			}
		}
		if len(recovered) == 0 || len(recovered) == len(l.groups()) || len(stray) == 0 {
			t.Fatalf("%d of %d groups recovered, %d stray replicas: the test is void", len(recovered), len(l.groups()), len(stray))
		}
		delete(w.disks, "b")
		delete(w.disks, "c")
		w.start("a", 0)
		w.start("d", 0)
		w.ready()
		w.complete(w.nodes["d"], 8)
		w.eventually(w.nodes["a"], "stray replicas are gone where a group was recovered", func(Description) bool {
			groups := w.nodes["d"].groups()
			for _, g := range stray {
				if recovered[g] != "" && groups[g] != nil {
					return false
				}
			}
			return true
		})
		w.start("b", 0)
		w.start("c", 0)
		w.eventually(w.nodes["a"], "all vote again", func(d Description) bool { return allVote(d, replication) })
		w.complete(w.nodes["b"], 8)
		w.run(w.nodes["b"], w.nodes["c"], startOf("chain", "after", 2))
	})
}

// TestRecoveredTwice recovers the groups on two nodes separately. Nobody can tell who
// is right: both say so, and neither takes the other in or stops it.
func TestRecoveredTwice(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.written(2)
		for _, name := range []string{"a", "b", "c"} {
			w.crash(name)
		}
		for name, lost := range map[string][]string{"a": {"b", "c"}, "b": {"a", "c"}} {
			if _, err := Recover(w.recovering(name, lost...)); err != nil {
				t.Fatal(err)
			}
		}
		log := &safeBuffer{}
		w.log = log
		a, b := w.start("a", 0), w.start("b", 0)
		time.Sleep(30 * time.Second) // elections, and several rounds of reconciliation
		for _, n := range []*Node{a, b} {
			for g, group := range n.groups() {
				if s := group.Stats(); s.Role != "leader" || len(s.Servers) != 1 {
					t.Errorf("%s, group %d: %+v", n.self, g, s)
				}
			}
		}
		for _, said := range []string{"node=a group=0", "node=b group=0", "node=b group=4"} {
			if !slices.ContainsFunc(strings.Split(log.String(), "\n"), func(line string) bool {
				return strings.Contains(line, "A GROUP WAS RECOVERED TWICE") && strings.Contains(line, said)
			}) {
				t.Errorf("the log does not say it for %q:\n%s", said, log)
			}
		}
		if r, err := PlanRecovery(RecoverConfig{DataDirs: []string{"/data"}, FS: w.disks["c"], Lost: []string{"a", "b"}}); err != nil || !r.Groups[0].Chosen {
			t.Errorf("c alone: %+v, %v", r, err)
		}
	})
}

// safeBuffer is a buffer for several goroutines.
type safeBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestRecoveryIsRefused asks for what must not be done.
func TestRecoveryIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.written(4)
		w.crash("c") // c's log ends here
		for i := range 4 {
			w.run(w.nodes["a"], w.nodes["b"], startOf("chain", fmt.Sprint("later", i), 4))
		}
		w.crash("a")
		w.crash("b")
		a, b, c := w.inspect("a"), w.inspect("b"), w.inspect("c")
		var carried []StoppedNode
		if err := json.Unmarshal(mustJSON([]StoppedNode{b, c}), &carried); err != nil {
			t.Fatal(err)
		}
		b, c = carried[0], carried[1]
		foreign, newer := b, b
		foreign.Cluster, newer.Format = "another", reportFormat+1
		with := func(cfg RecoverConfig, reports ...StoppedNode) RecoverConfig {
			cfg.Reports = reports
			return cfg
		}
		only := func(cfg RecoverConfig, groups ...uint32) RecoverConfig {
			cfg.Groups = groups
			return cfg
		}
		for name, c := range map[string]struct {
			cfg  RecoverConfig
			is   error
			says string
		}{
			"nothing is called lost":    {w.recovering("a"), ErrRecoveryRefused, "with b, c"},
			"one is called lost":        {w.recovering("a", "b"), ErrRecoveryRefused, "groups 0-4: it may have a majority with c"},
			"a majority is shown":       {with(w.recovering("a", "c"), b), ErrRecoveryRefused, "a majority of its voters is intact"},
			"lost and shown":            {w.recovering("a", "a", "b", "c"), ErrRecoveryRefused, "a is called lost, and is shown"},
			"a group that is not there": {only(w.recovering("a", "b", "c"), 9), ErrRecoveryRefused, "group 9"},
			"a node that is not there":  {w.recovering("a", "b", "d"), ErrConfig, `lost node "d"`},
			"shown twice":               {with(w.recovering("a", "b", "c"), a), ErrConfig, "shown twice"},
			"another cluster":           {with(w.recovering("a", "c"), foreign), ErrOtherCluster, "another"},
			"a newer report":            {with(w.recovering("a", "c"), newer), ErrConfig, "format 2"},
			"no directory":              {RecoverConfig{Lost: []string{"b"}}, ErrConfig, "no data directory"},
			"not a data directory":      {RecoverConfig{DataDirs: []string{"/"}, FS: w.disks["a"]}, ErrConfig, `no file "node"`},
		} {
			if _, err := Recover(c.cfg); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s: %v\nwant %v: %s", name, err, c.is, c.says)
			}
		}
		if after := w.inspect("a"); string(mustJSON(after.Replicas)) != string(mustJSON(a.Replicas)) {
			t.Errorf("a refused recovery changed\n%s\ninto\n%s", mustJSON(a.Replicas), mustJSON(after.Replicas))
		}
		longestElsewhere(t, w, a, c)
	})
}

// longestElsewhere gives the groups a fourth voter d and calls it and b lost: of a and
// c, which are no majority then, only the one with the longer log can be recovered.
func longestElsewhere(t *testing.T, w *testWorld, a, c StoppedNode) {
	widen := func(n StoppedNode) StoppedNode {
		var out StoppedNode
		if err := json.Unmarshal(mustJSON(n), &out); err != nil {
			t.Fatal(err)
		}
		for i := range out.Replicas {
			out.Replicas[i].Servers = append(out.Replicas[i].Servers, raftlog.Server{ID: "d@d", Voter: true})
		}
		return out
	}
	cfg := w.recovering("c", "b", "d")
	cfg.Reports = []StoppedNode{widen(a)}
	var longer uint32
	for i, r := range a.Replicas {
		if r.LastIndex > c.Replicas[i].LastIndex {
			longer = uint32(r.Group)
		}
	}
	if longer == 0 {
		t.Fatal("a's logs are no longer than c's: the test is void")
	}
	cfg.Groups = []uint32{longer}
	if _, err := Recover(cfg); !errors.Is(err, ErrRecoveryRefused) || !strings.Contains(err.Error(), "a has the longest log of those shown") {
		t.Errorf("from the shorter log: %v", err)
	}
	if before := w.inspect("c"); string(mustJSON(before.Replicas)) != string(mustJSON(c.Replicas)) {
		t.Error("a refused recovery changed something")
	}
}

// TestInspectChangesNothing looks where there is nothing to recover.
func TestInspectChangesNothing(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 3) // it waits for others
		w.crash("a")
		n := w.inspect("a")
		if n.Cluster != "" || n.Name != "a" || len(n.Replicas) != 0 {
			t.Errorf("a blank node: %+v", n)
		}
		if _, err := Recover(w.recovering("a")); !errors.Is(err, ErrRecoveryRefused) || !strings.Contains(err.Error(), "have no replicas") {
			t.Errorf("recover a blank node: %v", err)
		}
		empty := vfs.NewMem()
		if err := empty.MkdirAll("/data", 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := Inspect(RecoverConfig{DataDirs: []string{"/data"}, FS: empty}); !errors.Is(err, ErrConfig) {
			t.Errorf("an empty directory: %v", err)
		}
		if names, _ := empty.List("/data"); len(names) > 0 {
			t.Errorf("looking made %v", names)
		}
	})
}

// TestReportForm pins the report that people carry between machines, perhaps between
// two versions of the program.
func TestReportForm(t *testing.T) {
	report := StoppedNode{
		Format: reportFormat, Cluster: "c1", Name: "n1", DataDir: "/data", Inspected: time.Unix(1_700_000_000, 0).UTC(), Nodes: []string{"n1", "n2"}, Layout: 3,
		Replicas: []raftlog.Replica{
			{
				Group: 7, Server: "00.1-0a0b0c0d@n1", Term: 5, LastIndex: 20, LastTerm: 4, LastTime: time.Unix(1_700_000_000, 0).UTC(), Applied: 19, Snapshot: 10,
				Servers: []raftlog.Server{{ID: "00.1-0a0b0c0d@n1", Voter: true}, {ID: "01.1-0a0b0c0d@n2"}}, Before: []raftlog.Server{{ID: "00.1-0a0b0c0d@n1", Voter: true}},
			},
			{Group: 8, Server: "02@n1", Damage: "its log is gone"},
		},
	}
	const want = `{"format":1,"clusterId":"c1","node":"n1","dataDir":"/data","inspected":"2023-11-14T22:13:20Z","nodes":["n1","n2"],"layout":3,"replicas":[` +
		`{"group":7,"server":"00.1-0a0b0c0d@n1","term":5,"lastIndex":20,"lastTerm":4,"lastTime":"2023-11-14T22:13:20Z","appliedIndex":19,"snapshotIndex":10,` +
		`"servers":[{"id":"00.1-0a0b0c0d@n1","voter":true},{"id":"01.1-0a0b0c0d@n2","voter":false}],"serversBefore":[{"id":"00.1-0a0b0c0d@n1","voter":true}]},` +
		`{"group":8,"server":"02@n1","term":0,"lastIndex":0,"lastTerm":0,"appliedIndex":0,"snapshotIndex":0,"servers":null,"damage":"its log is gone"}]}`
	if got := string(mustJSON(report)); got != want {
		t.Errorf("a report is\n%s\nwant\n%s", got, want)
	}
	var back StoppedNode
	if err := json.Unmarshal([]byte(want), &back); err != nil || !reflect.DeepEqual(back, report) {
		t.Errorf("it reads back as %+v, %v", back, err)
	}
}

func TestRecoveredLayout(t *testing.T) {
	old := &layout{Cluster: "c", Version: 5}
	newer := &layout{Cluster: "c", Version: 7, Nodes: []layoutNode{{Name: "n"}}}
	for name, c := range map[string]struct {
		known      *layout
		generation uint64
		version    uint64
		nodes      int
	}{
		"never recovered":     {newer, 0, 5, 0},
		"recovered":           {nil, 1, 5 + recoveredVersions, 0},
		"a newer one is here": {newer, 1, 7 + recoveredVersions, 1},
		"another cluster's":   {&layout{Cluster: "d", Version: 9}, 1, 5 + recoveredVersions, 0},
	} {
		got := old.recovered(c.known, c.generation)
		if got.Version != c.version || len(got.Nodes) != c.nodes || got.Recovered != c.generation {
			t.Errorf("%s: %+v", name, got)
		}
		if again := got.recovered(newer, c.generation); again != got {
			t.Errorf("%s: the next leader changes it again", name)
		}
	}
	if got := groupNames([]uint32{0, 1, 2, 5, 7, 8}); got != "groups 0-2, 5, 7-8" {
		t.Error(got)
	}
}
