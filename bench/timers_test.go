package bench

import (
	"testing"
	"time"
)

// BenchmarkW7 tells how late timers fire by the partition's clock, which is when the
// turn began that took the firing.
func BenchmarkW7(b *testing.B) {
	limit(b)
	_, api := startCluster(b)
	warm(b, api)
	n := *sleepersFlag
	if testing.Short() {
		n /= 10
	}
	began := time.Now()
	all, err := startAll(b.Context(), api, sleeper, nap{Sleep: 5 * time.Second, Pad: padding}, n, 128, "w7")
	if err != nil {
		b.Fatal(err)
	}
	starting := time.Since(began)
	var late latencies
	for _, h := range all {
		out, err := h.Result(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		late = append(late, out.Late)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/starting.Seconds(), "starts/s")
	b.ReportMetric(milliseconds(late.percentile(0.5)), "late-p50-ms")
	b.ReportMetric(milliseconds(late.percentile(0.99)), "late-p99-ms")
	b.ReportMetric(milliseconds(late.max()), "late-max-ms")
}

// BenchmarkArmed tells what many armed timers cost: 100 to an orchestration, due in a
// day, beside the same cluster without them.
func BenchmarkArmed(b *testing.B) {
	if *armedFlag == 0 {
		b.Skip("-armed is 0")
	}
	const each = 100
	c, api := startCluster(b)
	before := rest(b, c)
	if _, err := startAll(b.Context(), api, sleeper, nap{Sleep: 24 * time.Hour, Timers: each - 1, Pad: padding}, *armedFlag/each, 128, "armed"); err != nil {
		b.Fatal(err)
	}
	after := rest(b, c)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(*armedFlag), "timers")
	b.ReportMetric(100*before.cpu, "%-of-a-core-without")
	b.ReportMetric(100*after.cpu, "%-of-a-core")
	b.ReportMetric(float64(before.rss)/1e6, "rss-MB-without")
	b.ReportMetric(float64(after.rss)/1e6, "rss-MB")
}
