package cluster

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/reprise-run/reprise/partition"
	"github.com/reprise-run/reprise/partition/leader"
)

// metrics are the figures of a node. Most are read when somebody asks for them; what
// is counted as it happens are the histograms, and why instances were parked.
type metrics struct {
	fsync    prometheus.Histogram
	commit   *prometheus.HistogramVec
	entry    *prometheus.HistogramVec
	lateness *prometheus.HistogramVec
	parked   *prometheus.CounterVec

	once     sync.Once
	registry *prometheus.Registry
}

func newMetrics() *metrics {
	byPartition := []string{"partition"}
	histogram := func(name, help string, first float64, buckets int) prometheus.HistogramOpts {
		return prometheus.HistogramOpts{Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(first, 2, buckets)}
	}
	return &metrics{
		fsync:    prometheus.NewHistogram(histogram("reprise_fsync_seconds", "How long fsyncs of the stores took.", 0.0001, 16)),
		commit:   prometheus.NewHistogramVec(histogram("reprise_commit_seconds", "From the proposal of an entry to its effects.", 0.00025, 16), byPartition),
		entry:    prometheus.NewHistogramVec(histogram("reprise_entry_bytes", "Sizes of the entries that leaders here had committed.", 256, 17), byPartition),
		lateness: prometheus.NewHistogramVec(histogram("reprise_timer_lateness_seconds", "How late timers fired, by the partition's clock.", 0.001, 16), byPartition),
		parked:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "reprise_parked_total", Help: "Times that an instance was parked, by reason."}, []string{"partition", "reason"}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.fsync, m.commit, m.entry, m.lateness, m.parked}
}

// partitionMeter implements [leader.Meter] for one partition.
type partitionMeter struct {
	commit, entry, lateness prometheus.Observer
	parked                  *prometheus.CounterVec
}

func (m *metrics) meter(p uint32) leader.Meter {
	label := strconv.FormatUint(uint64(p), 10)
	return &partitionMeter{
		m.commit.WithLabelValues(label), m.entry.WithLabelValues(label), m.lateness.WithLabelValues(label),
		m.parked.MustCurryWith(prometheus.Labels{"partition": label}),
	}
}

// Committed implements [leader.Meter].
func (m *partitionMeter) Committed(took time.Duration, bytes int) {
	m.commit.Observe(took.Seconds())
	m.entry.Observe(float64(bytes))
}

// Fired implements [leader.Meter].
func (m *partitionMeter) Fired(late time.Duration) { m.lateness.Observe(late.Seconds()) }

// Parked implements [leader.Meter].
func (m *partitionMeter) Parked(why partition.Why) { m.parked.WithLabelValues(why.String()).Inc() }

// Collector returns the node's metrics, for a registry of your own. docs/observability.md
// tells what they mean.
func (n *Node) Collector() prometheus.Collector { return collector{n} }

// Metrics returns a registry with the node's metrics, those of Go's runtime and those
// of the process. Others may be added to it.
func (n *Node) Metrics() *prometheus.Registry {
	m := n.metrics
	m.once.Do(func() {
		m.registry = prometheus.NewRegistry()
		m.registry.MustRegister(n.Collector(), collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	})
	return m.registry
}

// MetricsHandler serves what [Node.Metrics] has, in the format of Prometheus.
func (n *Node) MetricsHandler() http.Handler {
	return promhttp.HandlerFor(n.Metrics(), promhttp.HandlerOpts{Registry: n.Metrics()})
}

// collector reads a node.
type collector struct{ node *Node }

// Describe implements [prometheus.Collector].
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range c.node.metrics.all() {
		m.Describe(to)
	}
	describe(to, nodeMetrics)
	describe(to, partitionMetrics)
	describe(to, ledMetrics)
	describe(to, []metric[leader.Stats]{timersArmed})
	to <- instancesParked
	describe(to, raftMetrics)
	describe(to, storeMetrics)
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(to chan<- prometheus.Metric) {
	n := c.node
	for _, m := range n.metrics.all() {
		m.Collect(to)
	}
	collect(to, nodeMetrics, n)
	led, all := n.leaderStats()
	for _, p := range slices.Sorted(maps.Keys(all)) {
		collect(to, partitionMetrics, all[p], label(p))
	}
	for _, p := range slices.Sorted(maps.Keys(led)) {
		collect(to, ledMetrics, led[p], label(p))
		collectCounts(to, led[p], label(p))
	}
	groups := n.groups()
	for _, g := range slices.Sorted(maps.Keys(groups)) {
		collect(to, raftMetrics, groups[g].Stats(), label(g))
	}
	log, state := n.host.StoreMetrics()
	collect(to, storeMetrics, log, "log")
	collect(to, storeMetrics, state, "state")
}

func label(p uint32) string { return strconv.FormatUint(uint64(p), 10) }

// leaderStats returns the figures of the leaders on this node, and those of all that
// have been here, by partition.
func (n *Node) leaderStats() (led, all map[uint32]leader.Stats) {
	n.mu.Lock()
	defer n.mu.Unlock()
	led, all = make(map[uint32]leader.Stats), maps.Clone(n.retired)
	if all == nil {
		all = make(map[uint32]leader.Stats)
	}
	for p, r := range n.replicas {
		if r.leader != nil {
			led[p] = r.leader.Stats()
			all[p] = added(all[p], led[p])
		}
	}
	return led, all
}

// added adds the counters of a leader to those of the ones before it.
func added(sum, s leader.Stats) leader.Stats {
	sum.Turns += s.Turns
	sum.Entries += s.Entries
	sum.EntryBytes += s.EntryBytes
	sum.Spilled += s.Spilled
	sum.Letters += s.Letters
	sum.StaleResults += s.StaleResults
	sum.LateEpisodes += s.LateEpisodes
	sum.Parked += s.Parked
	return sum
}
