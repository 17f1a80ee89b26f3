package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/partition/leader"
)

var crew = reprise.NewOrchestration[int, int]("crew")

// bindCrew binds an orchestration whose coroutines take work from a channel, and do
// some of it through a bounded map.
func bindCrew(r *reprise.Registry) {
	reprise.Bind(r, crew, func(o *reprise.Orchestration, n int) (int, error) {
		jobs := reprise.NewChannel[int](0)
		var group reprise.WaitGroup
		done := 0
		for range 3 {
			group.Go(o, func(o *reprise.Orchestration) {
				for {
					job, err := jobs.Receive(o)
					if err != nil {
						return
					}
					if _, err := work.Call(o, 5); err != nil {
						return
					}
					done += job
				}
			})
		}
		items := make([]int, n)
		for range items {
			if err := jobs.Send(o, 1); err != nil {
				return 0, err
			}
		}
		jobs.Close()
		mapped, err := reprise.Map(o, items, 4, func(o *reprise.Orchestration, _ int) reprise.Future[string] { return work.Start(o, 5) })
		return done + len(mapped), errors.Join(err, group.Wait(o))
	})
}

// Coroutines come to the same end through the death of a node: they are replayed.
func TestCoroutinesThroughACrash(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		const count = 8
		for i := range count {
			if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("crew", fmt.Sprint("crew", i), 20)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(25 * time.Millisecond) // of the bubble's time: they are in the middle of it
		w.crash("b")
		for i := range count {
			ref := startOf("crew", fmt.Sprint("crew", i), 20).Instance
			got, err := w.nodes["c"].Wait(w.within(2*time.Minute), leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
			if err != nil || string(got.Output) != "40" {
				t.Errorf("%s: %v with output %s, %+v, %v", ref.ID, got.Status, got.Output, got.Failure, err)
			}
		}
	})
}
