package bench

import (
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/internal/testcluster"
)

func TestPercentile(t *testing.T) {
	var l latencies
	if got := l.percentile(0.5); got != 0 {
		t.Errorf("of nothing: %v", got)
	}
	for i := 100; i >= 1; i-- {
		l = append(l, time.Duration(i))
	}
	for _, c := range []struct {
		p    float64
		want time.Duration
	}{{0, 1}, {0.001, 1}, {0.5, 50}, {0.501, 51}, {0.99, 99}, {1, 100}} {
		if got := l.percentile(c.p); got != c.want {
			t.Errorf("percentile %v is %d, want %d", c.p, got, c.want)
		}
	}
}

func TestTable(t *testing.T) {
	before := &reading{known: true, usage: testcluster.Usage{CPU: time.Second, WrittenBytes: 1000}}
	after := &reading{
		known: true,
		usage: testcluster.Usage{CPU: 2 * time.Second, WrittenBytes: 51000, PeakRSSBytes: 20e6},
		own:   testcluster.Usage{CPU: time.Second},
		stats: cluster.Stats{Fsyncs: 40, Work: cluster.Work{Turns: 60, Entries: 20, EntryBytes: 42000}},
	}
	var b strings.Builder
	err := writeTable(&b, []result{
		{name: "W1", concurrency: 8, orchestrations: 10, steps: 50, elapsed: 2 * time.Second, p50: 5 * time.Millisecond, p99: 150 * time.Millisecond, before: before, after: after},
		{name: "W12", concurrency: 64, orchestrations: 10, elapsed: time.Second, note: "a node was killed"},
	}, &limits{batched: 120, turnBytes: 700, commit: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	want := `| workload | at | orch/s | steps/s | p50-ms | p99-ms | p50/W0-commit | cpu-s/1000 | rss-MB | KB-written/orch | fsyncs/s | turns/s | turns/entry | bytes/turn | of-W0 |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
| W1 | 8 | 5.00 | 25.0 | 5.00 | 150 | 5.00 | 200 | 20.0 | 5.00 | 20.0 | 30.0 | 3.00 | 700 | 0.250 |
| W12 | 64 | 10.0 | 0.000 | 0.000 | 0.000 | 0.000 | – | – | – | – | – | – | – | – |

W12 @64: a node was killed
`
	if b.String() != want {
		t.Errorf("the table is\n%s\nwant\n%s", b.String(), want)
	}
}
