package cluster

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	stepper = reprise.NewOrchestration[int, string]("stepper")
	mover   = reprise.NewOrchestration[int, string]("mover")
)

// bindSteppers binds the versions that a node has.
func bindSteppers(r *reprise.Registry, extra []string) {
	for _, version := range extra {
		if v, ok := strings.CutPrefix(version, "mover@"); ok {
			reprise.Bind(r, mover.Version(v), func(o *reprise.Orchestration, n int) (string, error) {
				if _, err := work.Call(o, 200); err != nil {
					return "", err
				}
				if next := fmt.Sprint(n+1, ".0"); n < 3 {
					return "", mover.ContinueAsNew(o, n+1, reprise.NextVersion(next))
				}
				return fmt.Sprintf("%s ran %s", v, o.Version()), nil
			})
		}
		if v, ok := strings.CutPrefix(version, "stepper@"); ok {
			reprise.Bind(r, stepper.Version(v), func(o *reprise.Orchestration, n int) (string, error) {
				for range n {
					if _, err := work.Call(o, 200); err != nil {
						return "", err
					}
				}
				return fmt.Sprintf("%s ran %s", v, o.Version()), nil
			})
		}
	}
}

// Instances run by the code of their version, on whatever node has it, through the death
// of one; a version that nobody has waits, visibly, until a node comes that has it.
func TestVersionsThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 3, "stepper@1.0", "stepper@2.0")
		w.start("b", 3, "stepper@1.0")
		w.start("c", 3, "stepper@2.0")
		w.ready()
		w.eventually(w.nodes["a"], "versions are told", func(d Description) bool {
			return slices.ContainsFunc(d.Nodes, func(n NodeDescription) bool { return slices.Contains(n.Orchestrations, "stepper@2.0") })
		})
		var all []leader.StartRequest
		for i, version := range []string{"1.0", "2", "1", "2.0", "1.0", "2.0", "3.0"} {
			req := startOf("stepper", fmt.Sprint("s", i), 5)
			req.Version = version
			if _, err := w.nodes["b"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			all = append(all, req)
		}
		time.Sleep(300 * time.Millisecond) // of the bubble's time: they are in the middle of it
		w.crash("c")
		for _, req := range all[:6] {
			in, err := w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: req.Instance, Ended: true, Payloads: true})
			want := map[string]string{"1.0": `"1.0 ran 1.0"`, "1": `"1.0 ran 1"`, "2": `"2.0 ran 2"`, "2.0": `"2.0 ran 2.0"`}[req.Version]
			if err != nil || string(in.Output) != want {
				t.Errorf("version %s: %s %s, want %s; %v", req.Version, in.Status, in.Output, want, err)
			}
		}
		last := all[6]
		in, err := w.nodes["a"].Status(w.within(time.Minute), leader.StatusRequest{Instance: last.Instance})
		if err != nil || len(in.Waiting) != 1 || in.Waiting[0] != `a node that binds orchestrator "stepper" in version "3.0"` || !strings.Contains(in.Parked, `version "3.0"`) {
			t.Errorf("version 3.0: %s, parked %q, waits for %q; %v", in.Status, in.Parked, in.Waiting, err)
		}
		w.start("c", 3, "stepper@3.0")
		in, err = w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: last.Instance, Ended: true, Payloads: true})
		if err != nil || string(in.Output) != `"3.0 ran 3.0"` {
			t.Errorf("version 3.0: %s %s, %v", in.Status, in.Output, err)
		}
	})
}

// An instance moves from version to version, each of which another node binds, and waits
// for the one that nobody does.
func TestNextVersionOnOtherNodes(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		w.start("a", 3, "mover@1.0")
		w.start("b", 3, "mover@2.0")
		w.start("c", 3)
		w.ready()
		var all []leader.StartRequest
		for i := range 6 {
			req := startOf("mover", fmt.Sprint("m", i), 1)
			req.Version = "1.0"
			if _, err := w.nodes["c"].StartInstance(w.within(time.Minute), req); err != nil {
				t.Fatal(err)
			}
			all = append(all, req)
		}
		time.Sleep(2 * time.Second) // of the bubble's time: they have come to version 3
		for _, req := range all {
			in, err := w.nodes["a"].Status(w.within(time.Minute), leader.StatusRequest{Instance: req.Instance})
			if err != nil || len(in.Waiting) != 1 || in.Waiting[0] != `a node that binds orchestrator "mover" in version "3.0"` {
				t.Errorf("%s: %s waits for %q; %v", req.Instance.ID, in.Status, in.Waiting, err)
			}
		}
		w.crash("b")
		w.start("b", 3, "mover@3.0")
		for _, req := range all {
			in, err := w.nodes["a"].Wait(w.within(time.Minute), leader.WaitRequest{Instance: req.Instance, Ended: true, Payloads: true})
			if err != nil || string(in.Output) != `"3.0 ran 3.0"` {
				t.Errorf("%s: %s %s, %v", req.Instance.ID, in.Status, in.Output, err)
			}
		}
	})
}
