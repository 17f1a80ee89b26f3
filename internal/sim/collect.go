package sim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// collection is the input of an orchestration that returns the data of so many
// events, in the order in which it got them. It continues as new every third time.
type collection struct {
	Want int
	Have []int
}

var (
	item    = reprise.NewEvent[int]("sim.item")
	collect = reprise.NewOrchestration[collection, []int]("sim.collect")
)

func runCollect(o *reprise.Orchestration, c collection) ([]int, error) {
	for range 3 {
		if len(c.Have) == c.Want {
			return c.Have, nil
		}
		n, err := item.Await(o)
		if err != nil {
			return nil, err
		}
		c.Have = append(c.Have, n)
	}
	return nil, collect.ContinueAsNew(o, c)
}

// collecting is a collection that was started, and all of whose events were
// acknowledged.
type collecting struct {
	ref  leader.InstanceRef
	want int
}

// collect starts a collection and raises its events, each after the answer to the
// one before.
func (c *client) collect(ctx context.Context) {
	want := 2 + c.rng.IntN(9)
	input, err := json.Marshal(collection{Want: want})
	if err != nil {
		panic(err)
	}
	identity := c.identity()
	req := leader.StartRequest{
		Instance:  leader.InstanceRef{Hub: "sim", ID: history.InstanceID("list-" + identity.ID)},
		Execution: c.newExecution(), Name: collect.Name(), Input: input, Identity: identity,
	}
	err, _ = c.ask(&req.Identity, func(ctx context.Context, node caller) error {
		req.Execution = tried(req.Execution)
		_, err := node.StartInstance(ctx, req)
		return err
	})
	for i := 0; err == nil && i < want; i++ {
		raise := leader.RaiseRequest{Instance: req.Instance, Name: "SIM.Item", Data: history.Payload(fmt.Sprint(i)), Identity: c.identity()}
		err, _ = c.ask(&raise.Identity, func(ctx context.Context, node caller) error { return node.Raise(ctx, raise) })
		if errors.Is(err, leader.ErrNotFound) {
			c.complain("G5: event %d finds no instance %s, whose start was acknowledged", i, req.Instance.ID)
		}
		pause(ctx, time.Duration(c.rng.IntN(300))*time.Millisecond)
	}
	if err != nil {
		return // what came of it is not known
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.collected = append(c.collected, collecting{req.Instance, want})
}

// checkCollections demands of each collection that it got every event once, in the
// order in which they were acknowledged (G5).
func (l *workload) checkCollections() {
	c := l.client(0, 2)
	for _, w := range l.collected {
		if len(l.wrong) >= maxProblems {
			return
		}
		got, err := c.awaitEnd(w.ref)
		var items []int
		if err == nil && got.Status == history.Completed {
			err = json.Unmarshal(got.Output, &items)
		}
		right := err == nil && len(items) == w.want
		for i, n := range items {
			right = right && n == i
		}
		if !right {
			l.complain("G5: %s is %v with the events %v, want 0 to %d in order; %v, waits for %q", w.ref.ID, got.Status, items, w.want-1, err, got.Waiting)
		}
	}
}
