package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// reading is what all processes have used and done up to a moment.
type reading struct {
	usage testcluster.Usage // CPU and bytes of all nodes; the peak is of the largest
	own   testcluster.Usage // of the client, this process
	known bool              // whether this system tells usage at all
	stats cluster.Stats     // summed over the nodes
}

// read takes a reading. A node that does not run, or does not answer, counts as
// nothing.
func read(ctx context.Context, c *testcluster.Cluster) (*reading, error) {
	r := &reading{known: true}
	for _, n := range c.Nodes {
		u, err := n.Usage()
		if errors.Is(err, testcluster.ErrUsageUnknown) {
			r.known = false
			break
		}
		if err != nil {
			return nil, err
		}
		r.usage.CPU += u.CPU
		r.usage.WrittenBytes += u.WrittenBytes
		r.usage.PeakRSSBytes = max(r.usage.PeakRSSBytes, u.PeakRSSBytes)
	}
	if r.known {
		var err error
		if r.own, err = testcluster.OwnUsage(); err != nil {
			return nil, err
		}
	}
	for i, report := range c.Reports(ctx) {
		if report == nil {
			if c.Nodes[i].Running() {
				return nil, fmt.Errorf("node %s does not tell its counters", c.Nodes[i].Name())
			}
			continue
		}
		r.stats.Fsyncs += report.Stats.Fsyncs
		r.stats.Work.Turns += report.Stats.Work.Turns
		r.stats.Work.Entries += report.Stats.Work.Entries
		r.stats.Work.EntryBytes += report.Stats.Work.EntryBytes
	}
	return r, nil
}

// result is one line of the table.
type result struct {
	name           string
	concurrency    int
	orchestrations int
	steps          int
	elapsed        time.Duration
	p50, p99       time.Duration
	// before and after are nil where a process was killed in between: what it had
	// used and done is not known then.
	before, after *reading
	note          string // what else was measured
}

func (r result) perSecond(n uint64) float64 { return float64(n) / r.elapsed.Seconds() }

// metrics are the figures of a result, in the order of the table. A figure that
// is not known is left out.
func (r result) metrics(limit *limits) []metric {
	n := float64(r.orchestrations)
	all := []metric{
		{"orch/s", r.perSecond(uint64(r.orchestrations))},
		{"steps/s", r.perSecond(uint64(r.steps))},
		{"p50-ms", milliseconds(r.p50)},
		{"p99-ms", milliseconds(r.p99)},
	}
	if limit != nil {
		all = append(all, metric{"p50/W0-commit", r.p50.Seconds() / limit.commit.Seconds()})
	}
	if r.after == nil {
		return all
	}
	if r.after.known && n > 0 {
		cpu := r.after.usage.CPU - r.before.usage.CPU + r.after.own.CPU - r.before.own.CPU
		all = append(all,
			metric{"cpu-s/1000", cpu.Seconds() * 1000 / n},
			metric{"rss-MB", float64(r.after.usage.PeakRSSBytes) / 1e6},
			metric{"KB-written/orch", float64(r.after.usage.WrittenBytes-r.before.usage.WrittenBytes) / 1e3 / n},
		)
	}
	turns := r.after.stats.Work.Turns - r.before.stats.Work.Turns
	entries := r.after.stats.Work.Entries - r.before.stats.Work.Entries
	bytes := r.after.stats.Work.EntryBytes - r.before.stats.Work.EntryBytes
	all = append(all,
		metric{"fsyncs/s", r.perSecond(r.after.stats.Fsyncs - r.before.stats.Fsyncs)},
		metric{"turns/s", r.perSecond(turns)},
	)
	if entries > 0 && turns > 0 {
		all = append(all,
			metric{"turns/entry", float64(turns) / float64(entries)},
			metric{"bytes/turn", float64(bytes) / float64(turns)},
		)
	}
	if limit != nil {
		all = append(all, metric{"of-W0", r.perSecond(bytes) / (limit.batched * float64(limit.turnBytes))})
	}
	return all
}

// metric is one figure with its unit.
type metric struct {
	unit  string
	value float64
}

func milliseconds(d time.Duration) float64 { return d.Seconds() * 1e3 }
