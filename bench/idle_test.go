package bench

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// resting is what a cluster costs to which nobody says anything.
type resting struct {
	cpu float64 // of one core, all nodes together
	rss int64   // peak of the largest node
}

// rest lets the cluster come to rest and measures what it costs.
func rest(b *testing.B, c *testcluster.Cluster) resting {
	b.Helper()
	if err := wait(b.Context(), 5*time.Second); err != nil { // what came before has an end
		b.Fatal(err)
	}
	usage := func() (sum resting, cpu time.Duration) {
		for _, n := range c.Nodes {
			u, err := n.Usage()
			if err != nil {
				b.Skip(err)
			}
			cpu += u.CPU
			sum.rss = max(sum.rss, u.PeakRSSBytes)
		}
		return sum, cpu
	}
	for _, n := range c.Nodes {
		_ = n.ResetPeak() // known on Linux only; elsewhere usage is not told either
	}
	_, before := usage()
	began := time.Now()
	if err := wait(b.Context(), max(5*time.Second, length())); err != nil {
		b.Fatal(err)
	}
	sum, after := usage()
	sum.cpu = (after - before).Seconds() / time.Since(began).Seconds()
	return sum
}

// BenchmarkWaiting tells what orchestrations cost that wait for an event: memory, and
// the takeover of their partitions when the node that leads most is killed.
func BenchmarkWaiting(b *testing.B) {
	if *waitingFlag == 0 {
		b.Skip("-waiting is 0")
	}
	c, api := startCluster(b)
	before := rest(b, c)
	if _, err := startAll(b.Context(), api, listener, newValue(1), *waitingFlag, 128, "waiting"); err != nil {
		b.Fatal(err)
	}
	after := rest(b, c)
	victim, partitions := c.Busiest(b.Context())
	owners, err := slotOwners(b.Context(), api)
	if err != nil {
		b.Fatal(err)
	}
	took, err := takeOver(b.Context(), victim, partitions, api, owners, 1)
	if err != nil {
		b.Fatal(err)
	}
	if err := victim.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	for i := 0; i < *waitingFlag; i += max(*waitingFlag/100, 1) { // they do wait
		if err := wake(b.Context(), api, history.InstanceID(fmt.Sprintf("waiting-%d", i))); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(*waitingFlag), "waiting")
	b.ReportMetric(float64(before.rss)/1e6, "rss-MB-without")
	b.ReportMetric(float64(after.rss)/1e6, "rss-MB")
	b.ReportMetric(100*before.cpu, "%-of-a-core-without")
	b.ReportMetric(100*after.cpu, "%-of-a-core")
	b.ReportMetric(milliseconds(took.percentile(0.5)), "takeover-p50-ms")
	b.ReportMetric(milliseconds(took.max()), "takeover-max-ms")
}

func wake(ctx context.Context, c *client.Client, id history.InstanceID) error {
	if err := client.Raise(ctx, c, id, item, newValue(1)); err != nil {
		return err
	}
	if _, err := client.Attach(c, listener, id).Result(ctx); err != nil {
		return fmt.Errorf("result of %s: %w", id, err)
	}
	return nil
}
