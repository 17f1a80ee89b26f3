package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/reprise-run/reprise/internal/testcluster"
	"github.com/reprise-run/reprise/raftlog"
)

// limits are the figures of W0.
type limits struct {
	batched   float64       // turns a second, turnsPerEntry to an entry, two entries in flight a group
	oneByOne  float64       // turns a second, one to an entry, many in flight
	commit    time.Duration // p50 of one commit at a time, on an idle cluster
	commit99  time.Duration
	turnBytes int
}

const (
	turnsPerEntry  = 32
	entriesFlying  = 2
	oneByOneFlying = 64
)

// measureLimits measures W0 with turns of so many bytes.
func measureLimits(ctx context.Context, dir string, nodes, turnBytes int, d time.Duration) (limits, error) {
	l := limits{turnBytes: turnBytes}
	c, err := testcluster.Start(ctx, testcluster.Config{Dir: dir, Nodes: nodes, Role: roleRaw})
	if err != nil {
		return l, err
	}
	defer c.Close()
	if err := startRaw(ctx, c); err != nil {
		return l, err
	}
	single, err := rawRun(ctx, c.Nodes[:1], rawRequest{Duration: d, Bytes: turnBytes, Turns: 1, InFlight: 1, OneGroup: true})
	if err != nil {
		return l, fmt.Errorf("one commit at a time: %w", err)
	}
	l.commit, l.commit99 = single.Latencies.percentile(0.5), single.Latencies.percentile(0.99)
	one, err := rawRun(ctx, c.Nodes, rawRequest{Duration: d, Bytes: turnBytes, Turns: 1, InFlight: oneByOneFlying})
	if err != nil {
		return l, fmt.Errorf("one turn to an entry: %w", err)
	}
	l.oneByOne = float64(one.Turns) / one.Elapsed.Seconds()
	batched, err := rawRun(ctx, c.Nodes, rawRequest{Duration: d, Bytes: turnBytes, Turns: turnsPerEntry, InFlight: entriesFlying})
	if err != nil {
		return l, fmt.Errorf("%d turns to an entry: %w", turnsPerEntry, err)
	}
	l.batched = float64(batched.Turns) / batched.Elapsed.Seconds()
	return l, nil
}

// startRaw makes the groups and spreads their leaders.
func startRaw(ctx context.Context, c *testcluster.Cluster) error {
	servers := map[raftlog.GroupID][]raftlog.ServerID{}
	for _, n := range c.Nodes {
		ids, err := ask[map[raftlog.GroupID]raftlog.ServerID](ctx, n, rawCreate, struct{}{})
		if err != nil {
			return err
		}
		for g, id := range ids {
			servers[g] = append(servers[g], id)
		}
	}
	for _, n := range c.Nodes {
		if _, err := ask[struct{}](ctx, n, rawStart, servers); err != nil {
			return err
		}
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	var last error
	for {
		led, even := 0, true
		for _, n := range c.Nodes {
			var r rawAnswer
			if err := n.Report(ctx, &r); err != nil {
				return err
			}
			led += len(r.Groups)
			even = even && len(r.Groups) == rawGroups/len(c.Nodes)
		}
		if led == rawGroups && even {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("spread the leaders of %d raw groups: %w (%v)", rawGroups, ctx.Err(), last)
		case <-ticker.C:
		}
		for _, n := range c.Nodes {
			// A hand-over may fail while others go on; it is tried again.
			if _, err := ask[struct{}](ctx, n, rawSpread, struct{}{}); err != nil {
				last = err
			}
		}
	}
}

// rawRun loads the groups of the nodes at once and adds up.
func rawRun(ctx context.Context, nodes []*testcluster.Node, req rawRequest) (rawAnswer, error) {
	answers := make([]rawAnswer, len(nodes))
	errs := make([]error, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() { answers[i], errs[i] = ask[rawAnswer](ctx, n, rawLoad, req) })
	}
	wg.Wait()
	var total rawAnswer
	for i, a := range answers {
		if errs[i] != nil {
			return total, errs[i]
		}
		total.Turns += a.Turns
		total.Elapsed = max(total.Elapsed, a.Elapsed)
		total.Latencies = append(total.Latencies, a.Latencies...)
	}
	if total.Turns == 0 {
		return total, fmt.Errorf("nothing was carried")
	}
	return total, nil
}

// ask posts a question to a raw node.
func ask[Out any](ctx context.Context, n *testcluster.Node, path string, in any) (out Out, err error) {
	body, err := json.Marshal(in)
	if err == nil {
		body, err = n.Post(ctx, path, body)
	}
	if err == nil {
		err = json.Unmarshal(body, &out)
	}
	if err != nil {
		return out, fmt.Errorf("node %s: %s: %w", n.Name(), path, err)
	}
	return out, nil
}
