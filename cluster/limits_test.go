package cluster

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// meter counts how many run at a time, on each node and together.
type meter struct {
	mu    sync.Mutex
	now   map[string]int
	most  map[string]int
	times []time.Time // when each began
}

func newMeter() *meter { return &meter{now: map[string]int{}, most: map[string]int{}} }

func (m *meter) enter(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.times = append(m.times, time.Now())
	for _, at := range []string{node, "all"} {
		m.now[at]++
		m.most[at] = max(m.most[at], m.now[at])
	}
}

func (m *meter) leave(node string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now[node]--
	m.now["all"]--
}

func (m *meter) max(at string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.most[at]
}

// bindLimited binds an activity of 200 ms with limits, and the orchestration that
// starts so many.
func bindLimited(m *meter, l reprise.ActivityLimits) func(*reprise.Registry, string) {
	bind := bindJobs(func(ctx context.Context, node, in string) (string, error) {
		m.enter(node)
		defer m.leave(node)
		select {
		case <-time.After(200 * time.Millisecond):
			return in, nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	return func(r *reprise.Registry, node string) {
		bind(r, node)
		reprise.LimitActivity(r, job, l)
	}
}

// runJobs starts instances with so many activities each and waits for all.
func (w *testWorld) runJobs(by string, instances, each int, meanwhile func()) {
	w.t.Helper()
	for i := range instances {
		if _, err := w.nodes[by].StartInstance(w.within(time.Minute), startOf("jobs", fmt.Sprint("l", i), each)); err != nil {
			w.t.Fatal(err)
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	for i := range instances {
		if in := w.end(by, leader.InstanceRef{Hub: "default", ID: history.InstanceID(fmt.Sprint("l", i))}); in.Status != history.Completed {
			w.t.Fatalf("%v: %+v", in.Status, in.Failure)
		}
	}
}

// No node runs more at a time than its limit, and all of the room is used.
func TestLimitOfANode(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		m := newMeter()
		w.bind = bindLimited(m, reprise.ActivityLimits{AtOnce: 3})
		w.three()
		w.runJobs("a", 4, 10, nil)
		for _, node := range []string{"a", "b", "c"} {
			if m.max(node) != 3 {
				t.Errorf("%s ran %d at a time", node, m.max(node))
			}
		}
	})
}

// The nodes together run no more at a time than the cluster's limit, while one dies and
// comes back; and a limit of one is no less alive for it.
func TestLimitOfACluster(t *testing.T) {
	for _, limit := range []int{1, 5} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			bubble(t, func(t *testing.T, w *testWorld) {
				m := newMeter()
				w.bind = bindLimited(m, reprise.ActivityLimits{AtOncePerCluster: limit})
				w.three()
				w.runJobs("a", 3, 10*limit, func() {
					for _, victim := range []string{"c", "b"} {
						time.Sleep(1500 * time.Millisecond) // until all that may run does
						w.crash(victim)
						time.Sleep(3 * time.Second) // until its death is known and its share is divided
						w.start(victim, 3)
						w.ready()
					}
				})
				if m.max("all") != limit {
					t.Errorf("%d ran at a time, the limit is %d", m.max("all"), limit)
				}
			})
		})
	}
}

// Rates hold, of a node and of the cluster.
func TestRates(t *testing.T) {
	for name, c := range map[string]struct {
		limits reprise.ActivityLimits
		count  int // at most, in each second
	}{
		"node":    {reprise.ActivityLimits{Rate: reprise.Rate{Count: 4, Per: time.Second}}, 3 * 4},
		"cluster": {reprise.ActivityLimits{RatePerCluster: reprise.Rate{Count: 4, Per: time.Second}}, 4},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, w *testWorld) {
				m := newMeter()
				w.bind = bindLimited(m, c.limits)
				w.three()
				w.runJobs("a", 3, 20, nil)
				if len(m.times) != 60 {
					t.Fatalf("%d attempts", len(m.times))
				}
				// A bucket that is full lets its content through, and what comes in.
				for i := range len(m.times) - 2*c.count {
					if d := m.times[i+2*c.count].Sub(m.times[i]); d < time.Second {
						t.Fatalf("%d attempts began in %v", 2*c.count+1, d)
					}
				}
				if took := m.times[59].Sub(m.times[0]); took < time.Duration(60-c.count)*time.Second/time.Duration(c.count)-100*time.Millisecond {
					t.Errorf("all began within %v", took)
				}
			})
		})
	}
}

func TestBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bucket
		rate := reprise.Rate{Count: 2, Per: time.Second}
		var waits []time.Duration
		for range 5 {
			wait := b.wait(rate, time.Now())
			waits = append(waits, wait)
			time.Sleep(wait)
			if b.wait(rate, time.Now()) != 0 {
				t.Error("not after the wait")
			}
			b.tokens--
		}
		if got := fmt.Sprint(waits); got != "[0s 0s 500ms 500ms 500ms]" {
			t.Error(got)
		}
	})
	if sum := part(5, 3, 0) + part(5, 3, 1) + part(5, 3, 2); sum != 5 || part(1, 3, 1) != 0 {
		t.Errorf("parts of 5 add up to %d", sum)
	}
}

// A node that alone has the labels runs what demands them; while there is none, it
// waits, visibly.
func TestOnNodes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.bind = bindJobs(func(_ context.Context, node, _ string) (string, error) { return node, nil }, reprise.OnNodes("gpu=true", "zone=1"))
		w.configure = func(c *Config) {
			c.Labels = map[string]string{"zone": "1", "gpu": fmt.Sprint(c.Name == "c")}
		}
		w.three()
		ref := w.begin("a", 3)
		if in := w.end("a", ref); string(in.Output) != `["c","c","c"]` {
			t.Errorf("%v: %s", in.Status, in.Output)
		}
		w.crash("c")
		ref = leader.InstanceRef{Hub: "default", ID: "later"}
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("jobs", "later", 1)); err != nil {
			t.Fatal(err)
		}
		w.until("it says what it waits for", func() bool {
			in, err := w.nodes["b"].Status(w.within(time.Minute), leader.StatusRequest{Instance: ref})
			return err == nil && fmt.Sprint(in.Waiting) == `[activity "job" (task 0), attempt 1: no node runs it: no node that binds it has the labels gpu=true,zone=1]`
		})
		w.start("c", 3)
		if in := w.end("a", ref); string(in.Output) != `["c"]` {
			t.Errorf("%v: %s", in.Status, in.Output)
		}
	})
}
