package cluster

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// gathered returns the sum of each metric over its labels; of a histogram, how often
// something was observed.
func gathered(t *testing.T, n *Node) map[string]float64 {
	t.Helper()
	families, err := n.Metrics().Gather()
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				sums[f.GetName()] += m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				sums[f.GetName()] += m.GetGauge().GetValue()
			case dto.MetricType_HISTOGRAM:
				sums[f.GetName()] += float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return sums
}

// What a cluster has done is what its nodes say, also of leaders that were there
// before and of those of before on a node.
func TestMetrics(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		for _, n := range []string{"a", "b", "c"} {
			w.start(n, 3)
		}
		w.ready()
		w.eventually(w.nodes["a"], "leaders are spread", spreadAsPreferred)
		for i := range 8 {
			w.run(w.nodes["a"], w.nodes["b"], startOf("chain", fmt.Sprint("c", i), 5))
		}
		if _, err := w.nodes["a"].StartInstance(w.within(time.Minute), startOf("rare", "r", 1)); err != nil {
			t.Fatal(err)
		}
		total := func() map[string]float64 {
			sums := map[string]float64{}
			for _, n := range w.nodes {
				for name, v := range gathered(t, n) {
					sums[name] += v
				}
			}
			return sums
		}
		got := total()
		for name, want := range map[string]float64{
			"reprise_turns_total": 8 * 6, "reprise_leading": 4, "reprise_raft_leader": 5, "reprise_members": 9, "reprise_parked_total": 1, "reprise_instances_parked": 1, "reprise_timers_armed": 0,
			"reprise_raft_leader_known": 15, "reprise_raft_voters": 45, "reprise_groups_leaderless": 0, "reprise_disk_late": 0, "reprise_attempts_running": 0,
		} {
			if got[name] != want {
				t.Errorf("%s is %v, want %v", name, got[name], want)
			}
		}
		for _, name := range []string{
			"reprise_commit_seconds", "reprise_entry_bytes", "reprise_fsync_seconds", "reprise_raft_reigns_total", "reprise_raft_elections_total",
			"reprise_raft_applied_index", "reprise_store_wal_written_bytes_total", "reprise_store_memtable_bytes", "reprise_activity_slots", "reprise_instances_loaded",
		} {
			if got[name] == 0 {
				t.Errorf("%s is 0", name)
			}
		}
		w.nodes["b"].HandOver(w.within(time.Minute))
		w.eventually(w.nodes["a"], "leaders are spread again", spreadAsPreferred)
		if after := total(); after["reprise_turns_total"] != got["reprise_turns_total"] || after["reprise_raft_reigns_total"] <= got["reprise_raft_reigns_total"] {
			t.Errorf("%v turns and %v reigns after the leaders moved; before, %v and %v",
				after["reprise_turns_total"], after["reprise_raft_reigns_total"], got["reprise_turns_total"], got["reprise_raft_reigns_total"])
		}
	})
}

// Every metric is in the table of the docs, every one of the table is there, and
// names are as Prometheus wants them.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/observability.md")
	if err != nil {
		t.Fatal(err)
	}
	documented, kinds := map[string]bool{}, map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(reprise_[a-z0-9_]+)` \\| (counter|gauge|histogram) \\|([^|]*)\\|").FindAllStringSubmatch(string(page), -1) {
		kinds[row[1]] = row[2]
		documented[row[1]+" "+strings.ReplaceAll(strings.TrimSpace(row[3]), "`", "")] = true
	}
	bubble(t, func(t *testing.T, w *testWorld) {
		n := w.start("a", 1)
		if problems, err := testutil.GatherAndLint(n.Metrics()); err != nil || len(problems) > 0 {
			t.Errorf("%v, %v", problems, err)
		}
		descs := make(chan *prometheus.Desc)
		go func() { n.Collector().Describe(descs); close(descs) }()
		exported := map[string]bool{}
		for d := range descs {
			// Desc{fqName: "NAME", help: "…", constLabels: {}, variableLabels: {a,b}}
			m := regexp.MustCompile(`fqName: "([^"]*)".*variableLabels: \{([^}]*)\}`).FindStringSubmatch(d.String())
			exported[m[1]+" "+strings.ReplaceAll(m[2], ",", ", ")] = true
		}
		families, err := n.Metrics().Gather()
		for _, f := range families {
			if kind := kinds[f.GetName()]; strings.HasPrefix(f.GetName(), "reprise_") && kind != strings.ToLower(f.GetType().String()) {
				t.Errorf("%s is a %v, and by docs/observability.md a %s", f.GetName(), f.GetType(), kind)
			}
		}
		if err != nil || len(families) < 60 {
			t.Errorf("%d metrics, %v", len(families), err)
		}
		for name := range exported {
			if !documented[name] {
				t.Errorf("docs/observability.md has no row for %s", name)
			}
		}
		for name := range documented {
			if !exported[name] && !strings.HasPrefix(name, "reprise_grpc_") && !strings.HasPrefix(name, "reprise_refused_") {
				t.Errorf("docs/observability.md has a row for %s, which is not there", name)
			}
		}
	})
}

// asked returns what a path of the node answers.
func asked(n *Node, path string) (status int, body string) {
	w := httptest.NewRecorder()
	n.HTTPHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	text, _ := io.ReadAll(w.Result().Body)
	return w.Code, string(text)
}

// A node is ready when its groups have leaders, and says what it waits for until then.
func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T, w *testWorld) {
		a := w.start("a", 3)
		if status, text := asked(a, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "belongs to no cluster yet") || !strings.Contains(text, "bootstrap-expect: 3") {
			t.Errorf("alone: %d %s", status, text)
		}
		if status, text := asked(a, "/healthz"); status != http.StatusOK || text != "ok\n" {
			t.Errorf("alone: %d %s", status, text)
		}
		w.start("b", 3)
		w.start("c", 3)
		w.ready()
		if status, text := asked(a, "/readyz"); status != http.StatusOK {
			t.Errorf("in its cluster: %d %s", status, text)
		}
		w.crash("b")
		w.crash("c")
		for deadline := time.Now().Add(time.Minute); len(a.leaderlessGroups()) < 5; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("a goes on without the others")
			}
		}
		if status, text := asked(a, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(text, "majority of their voters is not there") || !strings.Contains(text, "b does not answer, c does not answer") {
			t.Errorf("without the others: %d %s", status, text)
		}
		if status, text := asked(a, "/metrics"); status != http.StatusOK || !strings.Contains(text, "reprise_groups_leaderless 5") || !strings.Contains(text, "go_goroutines") {
			t.Errorf("metrics: %d %s", status, text)
		}
		if status, _ := asked(a, "/debug/pprof/"); status != http.StatusNotFound {
			t.Errorf("profiles that nobody asked for: %d", status)
		}
		a.mu.Lock()
		a.failed = true
		a.mu.Unlock()
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, _ := asked(a, path); status != http.StatusServiceUnavailable {
				t.Errorf("%s of a node that cannot go on: %d", path, status)
			}
		}
	})
}

// An instance ID, which anybody chooses, is no label.
func TestMetricsHaveNoInstances(t *testing.T) {
	const canary = "canary-7161"
	bubble(t, func(t *testing.T, w *testWorld) {
		n := w.start("a", 1)
		w.ready()
		w.run(n, n, startOf("chain", canary, 1))
		if _, err := n.StartInstance(w.within(time.Minute), startOf(canary, canary, 1)); err != nil {
			t.Fatal(err)
		}
		_, err := n.Status(w.within(time.Minute), leader.StatusRequest{Instance: leader.InstanceRef{Hub: history.DefaultTaskHub, ID: canary}})
		if _, text := asked(n, "/metrics"); err != nil || strings.Contains(text, canary) {
			t.Errorf("%v; %d bytes of metrics", err, len(text))
		}
	})
}
