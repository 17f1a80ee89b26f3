package cluster

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// An update may be replied to later than requests are remembered. Whoever waits for it
// is never told that nobody has done it, and that he may ask anew.
func TestUpdateThatWaitsForLong(t *testing.T) {
	approve := reprise.NewUpdate[int, int]("approve")
	committee := reprise.NewOrchestration[int, int]("committee")
	bubble(t, func(t *testing.T, w *testWorld) {
		w.bind = func(r *reprise.Registry, _ string) {
			reprise.Bind(r, committee, func(o *reprise.Orchestration, _ int) (int, error) {
				asked, err := approve.Receive(o).Await(o)
				if err != nil {
					return 0, err
				}
				if err := o.Sleep(14*time.Minute + 30*time.Second); err != nil {
					return 0, err
				}
				asked.Reply(2*asked.In, nil)
				return asked.In, nil
			})
		}
		w.start("a", 1)
		w.ready()
		a := w.nodes["a"]
		req := startOf("committee", "c", 0)
		for _, start := range []leader.StartRequest{req, startOf("purse", "acc", 1)} {
			if _, err := a.StartInstance(w.within(time.Minute), start); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		busy := make(chan struct{})
		go func() { // answers are forgotten with the entries of others
			defer close(busy)
			for i := 0; ctx.Err() == nil; i++ {
				_, _ = a.Update(ctx, leader.UpdateRequest{
					Instance: leader.InstanceRef{Hub: "default", ID: "acc"}, Name: "deposit", Input: history.Payload("1"),
					Identity: leader.RequestIdentity{ID: fmt.Sprint("d", i), Sent: time.Now()},
				})
				select {
				case <-time.After(20 * time.Second):
				case <-ctx.Done():
				}
			}
		}()
		began := time.Now()
		r, err := a.Update(w.within(20*time.Minute), leader.UpdateRequest{
			Instance: req.Instance, Name: "approve", Input: history.Payload("21"),
			Identity: leader.RequestIdentity{ID: "u", Sent: time.Now()},
		})
		if err != nil || string(r.Result) != "42" {
			t.Errorf("after %v: %s, %+v, %v", time.Since(began), r.Result, r.Failure, err)
		}
		cancel()
		<-busy
	})
}
