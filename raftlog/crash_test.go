package raftlog

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The scenario of the crash test: three nodes, one of which, the victim, writes
// to a counted disk. It follows, is away while the log is truncated, installs a
// snapshot, follows again, leads, makes snapshots and truncates, and hands
// leadership on.
type crashRun struct {
	t      *testing.T
	c      *testCluster
	victim *testNode

	crashed chan struct{}
	kept    *vfs.MemFS // the victim's disk as the crash left it
	acked   map[string]string
	over    atomic.Bool // no crash any more
	phases  []string    // what the victim was through at the crash
}

// setDisk puts a counting file system before the victim's disk.
func (r *crashRun) setDisk(crashAt int64, keep int) *countingFS {
	fs := &countingFS{FS: r.victim.disk}
	disk, host := r.victim.disk, &r.victim.host
	fs.at = func(n int64) {
		if n != crashAt || r.over.Load() {
			return
		}
		if h := *host; h != nil {
			h.mute.Store(true) // nothing leaves a crashed node
		}
		r.c.net.Crash(r.victim.id)
		r.kept = disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(7, uint64(n)))})
		close(r.crashed)
	}
	r.victim.fs = fs
	return fs
}

func (r *crashRun) hasCrashed() bool {
	select {
	case <-r.crashed:
		return true
	default:
		return false
	}
}

// put writes until it is acknowledged, or the victim has crashed.
func (r *crashRun) put(key, value string) {
	for range 2000 {
		for _, id := range r.c.order {
			n := r.c.nodes[id]
			if n.host == nil || n.lead[1] == nil || n.host.failed() {
				continue
			}
			reign := n.lead[1].current()
			if reign == nil {
				continue
			}
			seq, err := reign.Propose(testBatch(1, key, value, "twin-"+key, value))
			if err == nil && waitApplied(reign, seq) && !n.host.failed() {
				r.acked[key] = value
				return
			}
		}
		time.Sleep(5 * time.Millisecond) // until somebody reigns again
	}
	r.t.Fatal("a write was not acknowledged")
}

// reopen replaces the crashed host by a new one on what the crash left.
func (r *crashRun) reopen() {
	v := r.victim
	if v.host != nil {
		_ = v.host.Close()
	}
	v.disk, v.fs, v.host = r.kept, r.kept, nil
	v.open()
	if len(v.host.Replaced()) > 0 {
		r.t.Fatalf("a crash made a good replica a damaged one: %v", v.host.Replaced())
	}
	r.startVictim()
}

// startVictim starts the group if the crash left a replica of it.
func (r *crashRun) startVictim() {
	r.victim.create(1)
	r.victim.start(1)
}

// scenario runs until its end or until the victim crashes.
func (r *crashRun) scenario() {
	pad := strings.Repeat("x", 2500)
	n := 0
	write := func(count int) {
		for range count {
			if r.hasCrashed() {
				return
			}
			r.put(fmt.Sprint("k", n%20), fmt.Sprint(n, pad))
			n++
		}
	}
	step := func(name string, f func()) {
		if !r.hasCrashed() {
			r.phases = append(r.phases, name)
			f()
		}
	}
	step("follow", func() { write(4) })
	step("away", func() {
		r.c.net.Isolate([]nodeID{"v"}, []nodeID{"a", "b"})
		write(20)
		r.c.eventuallyOr(r.crashed, "truncated", func() bool {
			write(1)
			for _, id := range []nodeID{"a", "b"} {
				g := r.c.nodes[id].group[1].Stats()
				if g.Role == "leader" && g.FirstIndex > 12 {
					return true
				}
			}
			return false
		})
	})
	step("install", func() {
		r.c.net.Heal()
		r.c.eventuallyOr(r.crashed, "installed", func() bool {
			write(1)
			return r.victim.group[1].Stats().Installs > 0
		})
	})
	step("lead", func() {
		r.c.eventuallyOr(r.crashed, "victim leads", func() bool {
			write(1)
			for _, id := range r.c.order {
				if g := r.c.nodes[id].group[1]; id != "v" && g.Stats().Role == "leader" {
					_ = g.TransferLeadership(r.t.Context(), r.victim.group[1].Server())
				}
			}
			return r.victim.group[1].Stats().Role == "leader"
		})
		write(4)
	})
	step("snapshot", func() {
		r.c.eventuallyOr(r.crashed, "victim truncates", func() bool {
			before := r.victim.group[1].Stats().FirstIndex
			write(20)
			time.Sleep(snapshotLook) // until the flusher has looked
			return r.victim.group[1].Stats().FirstIndex > before
		})
	})
	step("hand over", func() {
		_ = r.victim.group[1].TransferLeadership(r.t.Context(), r.c.nodes["a"].group[1].Server())
		write(4)
	})
}

// runCrash runs the scenario with a crash before one disk operation, lets the
// victim come back, and checks that nothing acknowledged is missing anywhere and
// that no batch is torn. It returns how many operations there were.
func runCrash(t *testing.T, crashAt int64, keep int, tune func(*Config)) (ops int64, phase string) {
	synctest.Test(t, func(t *testing.T) {
		c := newTestCluster(t, func(cfg *Config) {
			smallLogs(cfg)
			cfg.SnapshotLogBytes = 32 << 10
			cfg.TruncateEntries = 3
			if tune != nil {
				tune(cfg)
			}
		}, "a", "b")
		v := &testNode{c: c, id: "v", disk: vfs.NewCrashableMem(), tune: c.nodes["a"].tune}
		c.nodes["v"], c.order = v, append(c.order, "v")
		r := &crashRun{t: t, c: c, victim: v, crashed: make(chan struct{}), acked: make(map[string]string), phases: []string{"open"}}
		v.open()
		c.bootstrap(1)
		// The operations of opening an empty store are the subject of another test.
		fs := r.setDisk(crashAt, keep)
		_ = v.host.Close()
		v.open()
		v.start(1)
		r.scenario()
		r.over.Store(true)
		ops = fs.ops.Load()
		if crashAt > 0 && r.hasCrashed() {
			phase = r.phases[len(r.phases)-1]
			c.net.Heal()
			r.reopen()
			r.put("after", "crash")
		}
		c.eventually("replicas are equal", func() bool {
			return c.nodes["a"].contents(1) == v.contents(1) && c.nodes["b"].contents(1) == v.contents(1)
		})
		for key, value := range r.acked {
			if got := v.read(1, key); got != value {
				t.Errorf("crash at %d (%s): %s is acknowledged and %.20q, it was %.20q", crashAt, phase, key, got, value)
			}
			if twin := v.read(1, "twin-"+key); twin != value {
				t.Errorf("crash at %d (%s): batch of %s is torn", crashAt, phase, key)
			}
		}
		for _, id := range c.order {
			if s := c.nodes[id].group[1].Stats(); s.Quarantined != "" {
				t.Errorf("crash at %d: %s is in quarantine: %s", crashAt, id, s.Quarantined)
			}
		}
	})
	return ops, phase
}

// TestCrashAtEveryWrite crashes the victim before each of its disk operations.
// What was not synced is lost at every second one, and nothing is lost at the others.
func TestCrashAtEveryWrite(t *testing.T) {
	total, _ := runCrash(t, 0, 0, nil)
	if t.Failed() {
		return
	}
	step := int64(1)
	if testing.Short() {
		step = 7
	}
	phases := make(map[string]int)
	for at := int64(1); at <= total; at += step {
		_, phase := runCrash(t, at, int(at%2)*100, nil)
		phases[phase]++
		if t.Failed() {
			t.Fatalf("crash before operation %d of %d", at, total)
		}
	}
	t.Logf("%d disk operations; crashes in each phase: %v", total, phases)
	for _, phase := range []string{"follow", "install", "lead", "snapshot"} {
		if phases[phase] == 0 {
			t.Errorf("no crash met the phase %q: the test is void", phase)
		}
	}
}
