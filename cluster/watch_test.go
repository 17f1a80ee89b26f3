package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var stages = reprise.NewOrchestration[int, int]("stages")

// bindStages binds an orchestration that shows each of the items that it gets, until it
// has so many.
func bindStages(r *reprise.Registry, _ string) {
	reprise.Bind(r, stages, func(o *reprise.Orchestration, want int) (int, error) {
		for range want {
			n, err := item.Await(o)
			if err == nil {
				err = o.SetTag("stage", fmt.Sprint(n))
			}
			if err == nil {
				err = o.SetCustomStatus(n)
			}
			if err != nil {
				return 0, err
			}
		}
		return want, nil
	})
}

// watcher watches an instance by way of one node.
type watcher struct {
	node string
	told chan leader.Instance // closed at the end
	last int                  // the newest stage that was read from told
}

func (w *testWorld) watch(node string, ref leader.InstanceRef) *watcher {
	x := &watcher{node: node, told: make(chan leader.Instance, 1000)}
	n, ctx := w.nodes[node], w.within(time.Hour)
	go func() {
		defer close(x.told)
		var seen leader.Seen
		for {
			a, err := n.Watch(ctx, leader.WatchRequest{Instance: ref, Seen: seen})
			if err != nil {
				w.t.Errorf("watch by way of %s: %v", node, err)
				return
			}
			seen = a.Seen
			x.told <- a.Instance
			if a.Instance.Status.Ended() {
				return
			}
		}
	}()
	return x
}

// until reads what the watcher was told until it was told of a stage, and checks that it
// never went back.
func (x *watcher) until(t *testing.T, stage int) leader.Instance {
	t.Helper()
	for in := range x.told {
		var n int
		if in.CustomStatus != nil {
			if err := json.Unmarshal(in.CustomStatus, &n); err != nil {
				t.Fatal(err)
			}
			if in.Tags["stage"] != fmt.Sprint(n) {
				t.Errorf("by way of %s: stage %d with tags %v", x.node, n, in.Tags)
			}
		}
		if n < x.last {
			t.Errorf("by way of %s: stage %d after %d", x.node, n, x.last)
		}
		if x.last = n; n == stage {
			return in
		}
	}
	t.Fatalf("by way of %s: the watcher was never told of stage %d", x.node, stage)
	return leader.Instance{}
}

// Watchers on two nodes follow an instance whose leader dies, comes back and dies again:
// they are told of every state that stays, never of an older one than before, and of the
// end.
func TestWatchThroughCrashes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.bind = bindStages
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		const count = 60
		var req leader.StartRequest
		for i := 0; ; i++ {
			req = startOf("stages", fmt.Sprint("s", i), count)
			if p, _ := w.nodes["a"].partitionOf(req.Instance); w.nodes["c"].leads(p) {
				break
			}
		}
		if _, err := w.nodes["a"].Watch(w.within(time.Minute), leader.WatchRequest{Instance: req.Instance}); !errors.Is(err, leader.ErrNotFound) {
			t.Errorf("watch of nobody: %v", err)
		}
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), req); err != nil {
			t.Fatal(err)
		}
		watchers := []*watcher{w.watch("a", req.Instance), w.watch("b", req.Instance)}
		for i := 1; i <= count; i++ {
			switch i {
			case 10, 45:
				w.crash("c")
			case 20:
				w.start("c", 3)
				w.ready()
			case 30:
				w.eventually(w.nodes["a"], "the leader is back", spreadAsPreferred)
			}
			raise := leader.RaiseRequest{Instance: req.Instance, Name: "item", Data: history.Payload(fmt.Sprint(i)), Identity: leader.RequestIdentity{ID: fmt.Sprint("e", i), Sent: time.Now()}}
			if err := w.nodes["a"].Raise(w.within(time.Minute), raise); err != nil {
				t.Fatalf("raise %d: %v", i, err)
			}
			if i < 35 || i%5 == 0 { // then it stays at that stage until the watchers know
				for _, x := range watchers {
					x.until(t, i)
				}
			}
		}
		for _, x := range watchers {
			for in := range x.told {
				t.Errorf("by way of %s, after the end: %+v", x.node, in)
			}
		}
		in, err := w.nodes["b"].Watch(w.within(time.Minute), leader.WatchRequest{Instance: req.Instance})
		if err != nil || in.Instance.Status != history.Completed || string(in.Instance.Output) != fmt.Sprint(count) {
			t.Errorf("after the end: %+v, %v", in.Instance, err)
		}
	})
}
