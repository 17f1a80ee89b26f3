package bench

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

var loopsFlag = flag.Int("loops", 0, "orchestrations with an endless loop in BenchmarkPoison: each costs a node a thread, and after a minute no other node")

// poisonRounds is how often BenchmarkPoison measures W1 without and with poison.
const poisonRounds = 4

// BenchmarkPoison measures W1 without and with one poison in a hundred starts, in turns,
// and what share of the first the healthy ones keep in the second.
func BenchmarkPoison(b *testing.B) {
	limit(b)
	_, api := startCluster(b)
	warm(b, api)
	for i := range *loopsFlag {
		if _, err := client.Run(b.Context(), api, looping, reprise.None{}, client.WithID(loopID(i))); err != nil {
			b.Fatal(err)
		}
	}
	for _, n := range concurrencies(b, 64) {
		b.Run(fmt.Sprintf("at=%d", n), func(b *testing.B) {
			p := &poisoner{}
			with := poisoned(p)
			part := max(length()/poisonRounds, time.Second)
			rate := func(w workload) (float64, latencies, time.Duration) {
				ctx, cancel := context.WithTimeout(b.Context(), part)
				defer cancel()
				all, elapsed, err := w.closedLoop(ctx, api, n)
				if err != nil {
					b.Fatal(err)
				}
				return float64(len(all)) / elapsed.Seconds(), all, elapsed
			}
			var clean, dirty, ratios []float64
			var all latencies
			var elapsed time.Duration
			for round := range poisonRounds {
				// Who is first has the smaller store, and none of the other's rest.
				var pure, mixed float64
				for i := range 2 {
					if (round+i)%2 == 0 {
						pure, _, _ = rate(hello5)
						continue
					}
					var these latencies
					var took time.Duration
					mixed, these, took = rate(with)
					all, elapsed = append(all, these...), elapsed+took
				}
				clean, dirty, ratios = append(clean, pure), append(dirty, mixed), append(ratios, mixed/pure)
			}
			for _, text := range p.refused {
				b.Errorf("poison was refused: %s", text)
			}
			if p.started.Load() == 0 {
				b.Fatal("no poison was started: the run says nothing")
			}
			ratio := mean(dirty) / mean(clean)
			keep(b, result{
				name: "Poison", concurrency: n, orchestrations: len(all), steps: len(all) * hello5.steps, elapsed: elapsed,
				p50: all.percentile(0.5), p99: all.percentile(0.99),
				note: fmt.Sprintf("with %d poisons %.0f orch/s, without %.0f: %.3f (floor 0.9; rounds %.2f)", p.started.Load(), mean(dirty), mean(clean), ratio, ratios),
			})
			b.ReportMetric(ratio, "of-clean")
		})
	}
	for i := range *loopsFlag {
		in, err := api.Status(b.Context(), loopID(i))
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%s: %s, waits for %v, parked %q", in.ID, in.Status, in.Waiting, in.Parked)
	}
}

// poisoned is W1 where every hundredth start is poison. Only what is healthy is counted.
func poisoned(p *poisoner) workload {
	var starts atomic.Uint64
	w := hello5
	w.name = "Poison"
	w.once = func(ctx context.Context, c *client.Client) error {
		if starts.Add(1)%99 == 0 {
			p.next(ctx, c)
		}
		return hello5.run(ctx, c)
	}
	return w
}

func loopID(i int) history.InstanceID { return history.InstanceID(fmt.Sprintf("loop-%d", i)) }

func mean(all []float64) float64 {
	sum := 0.0
	for _, x := range all {
		sum += x
	}
	return sum / float64(len(all))
}
