package bench

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/heavy"
	"github.com/reprise-run/reprise/internal/testcluster"
)

var (
	durationFlag    = flag.Duration("duration", 10*time.Second, "length of each run; with -short 2s")
	concurrencyFlag = flag.String("concurrency", "", "orchestrations at a time, comma-separated, instead of each workload's own")
	nodesFlag       = flag.Int("nodes", 3, "node processes")
	dirFlag         = flag.String("dir", "", "where data goes, a real disk; default: the temporary directory, or .reprise in the repository if that one is in memory")
	w0Flag          = flag.Bool("w0", true, "measure W0 beside the other workloads; without it there is no ratio to it")
	turnBytesFlag   = flag.Int("turnbytes", 700, "bytes of one turn in W0; what a workload writes is told as bytes/turn")
	fanFlag         = flag.Int("fan", 1000, "activities of W2")
	childrenFlag    = flag.Int("children", 100, "children of W5")
	depthFlag       = flag.Int("depth", 0, "depth of the sub-orchestrations of BenchmarkDepth; 0 skips it")
	stepsFlag       = flag.Int("steps", 2000, "activities of W6")
	eventsFlag      = flag.Int("events", 100, "events of one orchestration of W4")
	sleepersFlag    = flag.Int("sleepers", 10_000, "orchestrations of W7; with -short a tenth")
	armedFlag       = flag.Int("armed", 0, "armed timers of BenchmarkArmed; 0 skips it")
	longFlag        = flag.Int("long", 0, "steps of BenchmarkLongHistory; 0 skips it")
	continuesFlag   = flag.Int("continues", 0, "continuations of BenchmarkEternal; 0 skips it")
	waitingFlag     = flag.Int("waiting", 0, "waiting orchestrations of BenchmarkWaiting; 0 skips it")
	payloadFlag     = flag.Int("payload", 100_000, "bytes of a payload of W11")
	takeoversFlag   = flag.Int("takeovers", 0, "takeovers that BenchmarkFailover measures at least; 0 skips it")
	profileFlag     = flag.String("nodeprofile", "", "directory for CPU profiles of the nodes; the client's: -cpuprofile")
	keepFlag        = flag.Bool("keep", false, "keep the data and the logs, and say where")
)

// The roles of node processes.
var roles = map[string]func(){
	roleNode: func() { testcluster.RunNode(bind) },
	roleRaw:  runRaw,
}

var results []result // of all benchmarks, in order

func TestMain(m *testing.M) {
	testcluster.Main(roles)
	code := heavy.Run(m)
	if len(results) > 0 {
		fmt.Println()
		if err := writeTable(os.Stdout, results, measuredLimit); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// length returns how long each run takes.
func length() time.Duration {
	if testing.Short() {
		return 2 * time.Second
	}
	return max(*durationFlag, time.Second) // less, and the testing package would run it again
}

// concurrencies returns those of the flag, or the workload's own.
func concurrencies(b *testing.B, own ...int) []int {
	if *concurrencyFlag == "" {
		return own
	}
	var chosen []int
	for _, text := range strings.Split(*concurrencyFlag, ",") {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			b.Fatalf("-concurrency: %q is no number of orchestrations", text)
		}
		chosen = append(chosen, n)
	}
	return chosen
}

// dataDir returns a new directory on a disk, removed when the benchmark ends.
func dataDir(b *testing.B) string {
	parent := *dirFlag
	if parent == "" && !testcluster.OnDisk(os.TempDir()) {
		parent = "../.reprise"
		if err := os.MkdirAll(parent, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp(parent, "bench-")
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if err != nil {
		b.Fatal(err)
	}
	if !testcluster.OnDisk(dir) {
		b.Fatalf("%s is in memory; name a directory on a disk with -dir", dir)
	}
	b.Cleanup(func() {
		if *keepFlag {
			b.Logf("kept %s", dir)
			return
		}
		if err := os.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return dir
}

// startCluster starts a cluster of whole nodes, with its leaders spread.
func startCluster(b *testing.B) (*testcluster.Cluster, *client.Client) {
	ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute)
	defer cancel()
	c, err := testcluster.Start(ctx, testcluster.Config{Dir: dataDir(b), Nodes: *nodesFlag, Role: roleNode})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	if err := c.Balanced(ctx); err != nil {
		b.Fatal(err)
	}
	api, err := client.Dial(c.APIAddrs())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { api.Close() })
	return c, api
}

var (
	limitOnce     sync.Once
	measuredLimit *limits // nil until limit was called
)

// limit measures W0, once for all benchmarks of this process; nil without -w0.
func limit(b *testing.B) *limits {
	if !*w0Flag {
		return nil
	}
	limitOnce.Do(func() {
		ctx, cancel := context.WithTimeout(b.Context(), 2*time.Minute+3*length())
		defer cancel()
		l, err := measureLimits(ctx, dataDir(b), *nodesFlag, *turnBytesFlag, length())
		if err != nil {
			b.Fatal(err)
		}
		measuredLimit = &l
	})
	if measuredLimit == nil {
		b.Fatal("W0 could not be measured; see the first failure")
	}
	return measuredLimit
}

// measure runs a workload and keeps its result.
func measure(b *testing.B, c *testcluster.Cluster, api *client.Client, w workload, concurrency int) result {
	for _, n := range c.Nodes {
		_ = n.ResetPeak() // known on Linux only; elsewhere the peak is not told either
	}
	before, err := read(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	profiled := profileNodes(b, c, fmt.Sprintf("%s-%d", w.name, concurrency))
	ctx, cancel := context.WithTimeout(b.Context(), length())
	defer cancel()
	all, elapsed, err := w.closedLoop(ctx, api, concurrency)
	if err != nil {
		b.Fatal(err)
	}
	profiled()
	after, err := read(b.Context(), c)
	if err != nil {
		b.Fatal(err)
	}
	return result{
		name: w.name, concurrency: concurrency,
		orchestrations: len(all), steps: len(all) * w.steps, elapsed: elapsed,
		p50: all.percentile(0.5), p99: all.percentile(0.99), before: before, after: after,
	}
}

// keep adds a result to the table and to what the testing package prints.
func keep(b *testing.B, r result) {
	results = append(results, r)
	b.ReportMetric(0, "ns/op") // means nothing here
	for _, m := range r.metrics(limit(b)) {
		b.ReportMetric(m.value, m.unit)
	}
	if r.note != "" {
		b.Log(r.note)
	}
}

// profileNodes records CPU profiles of all nodes for one run, if they are wanted.
// The function that it returns waits for them.
func profileNodes(b *testing.B, c *testcluster.Cluster, run string) func() {
	if *profileFlag == "" {
		return func() {}
	}
	if err := os.MkdirAll(*profileFlag, 0o755); err != nil {
		b.Fatal(err)
	}
	var wg sync.WaitGroup
	for _, n := range c.Nodes {
		wg.Go(func() {
			file := filepath.Join(*profileFlag, fmt.Sprintf("%s-%s.pprof", run, n.Name()))
			if err := n.Profile(b.Context(), length(), file); err != nil {
				b.Error(err)
			}
		})
	}
	return wg.Wait
}

// warm runs small orchestrations until connections are open and leaders known.
func warm(b *testing.B, api *client.Client) {
	ctx, cancel := context.WithTimeout(b.Context(), time.Second)
	defer cancel()
	if _, _, err := hello5.closedLoop(ctx, api, 64); err != nil {
		b.Fatal(err)
	}
}

// hello5 is W1: five activities one after the other.
var hello5 = workload{name: "W1", orchestration: sequence, input: newValue(5), steps: 5}

func loops(b *testing.B, w workload, note func(*testing.B, *client.Client, *result), own ...int) {
	limit(b)
	c, api := startCluster(b)
	warm(b, api)
	for _, n := range concurrencies(b, own...) {
		b.Run(fmt.Sprintf("at=%d", n), func(b *testing.B) {
			r := measure(b, c, api, w, n)
			if note != nil {
				note(b, api, &r)
			}
			keep(b, r)
		})
	}
}

func BenchmarkW0(b *testing.B) {
	l := limit(b)
	if l == nil {
		b.Skip("-w0 is false")
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(l.batched, "turns/s")
	b.ReportMetric(l.oneByOne, "turns/s-one-an-entry")
	b.ReportMetric(milliseconds(l.commit), "commit-p50-ms")
	b.ReportMetric(milliseconds(l.commit99), "commit-p99-ms")
	b.ReportMetric(float64(l.turnBytes), "bytes/turn")
}

func BenchmarkW1(b *testing.B) { loops(b, hello5, nil, 1, 64, 512) }

func BenchmarkW1L(b *testing.B) {
	loops(b, workload{name: "W1L", orchestration: localSequence, input: newValue(5), steps: 5}, nil, 1, 64, 512)
}

func BenchmarkW2(b *testing.B) {
	loops(b, workload{name: "W2", orchestration: fanOut, input: newValue(*fanFlag), steps: *fanFlag}, nil, 1)
}

func BenchmarkW3(b *testing.B) {
	loops(b, workload{name: "W3", orchestration: empty, input: newValue(0), steps: 0}, nil, 1, 64, 512)
}

func BenchmarkW4(b *testing.B) {
	loops(b, workload{name: "W4", orchestration: listener, input: newValue(*eventsFlag), steps: *eventsFlag, during: raiseAll}, nil, 1, 64)
}

func BenchmarkW5(b *testing.B) {
	loops(b, workload{name: "W5", orchestration: family, input: newValue(*childrenFlag), steps: *childrenFlag}, nil, 1)
}

func BenchmarkDepth(b *testing.B) {
	if *depthFlag == 0 {
		b.Skip("-depth is 0")
	}
	loops(b, workload{name: "depth", orchestration: chain, input: newValue(*depthFlag), steps: *depthFlag}, nil, 1)
}

func BenchmarkW6(b *testing.B) {
	loops(b, workload{name: "W6", orchestration: sequence, input: newValue(*stepsFlag), steps: *stepsFlag}, growth, 1)
}

// BenchmarkLongHistory tells whether the steps of one orchestration get slower while
// its history grows: three events a step.
func BenchmarkLongHistory(b *testing.B) {
	if *longFlag == 0 {
		b.Skip("-long is 0")
	}
	_, api := startCluster(b)
	warm(b, api)
	began := time.Now()
	first, last := stepTimes(b, api, *longFlag)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(*longFlag)/time.Since(began).Seconds(), "steps/s")
	b.ReportMetric(milliseconds(first), "step-ms-first-tenth")
	b.ReportMetric(milliseconds(last), "step-ms-last-tenth")
}

// growth notes how the time of a step changes.
func growth(b *testing.B, api *client.Client, r *result) {
	if *stepsFlag >= 10 {
		first, last := stepTimes(b, api, *stepsFlag)
		r.note = fmt.Sprintf("a step takes %.2f ms in the first tenth of %d and %.2f ms in the last", milliseconds(first), *stepsFlag, milliseconds(last))
	}
}

// stepTimes runs one sequence and returns how long a step takes in the first tenth of
// its history, and in the last, by the times of its events.
func stepTimes(b *testing.B, api *client.Client, steps int) (first, last time.Duration) {
	b.Helper()
	id := history.InstanceID(fmt.Sprintf("growth-%d", time.Now().UnixNano()))
	long := workload{name: "W6", orchestration: sequence, input: newValue(steps), steps: steps}
	if err := long.run(b.Context(), api, client.WithID(id)); err != nil {
		b.Fatal(err)
	}
	var completed []time.Time
	for e, err := range api.History(b.Context(), id, "") {
		if err != nil {
			b.Fatal(err)
		}
		if _, ok := e.Body.(*history.TaskCompleted); ok {
			completed = append(completed, e.Time)
		}
	}
	if len(completed) != steps {
		b.Fatalf("%d steps are recorded of %d", len(completed), steps)
	}
	tenth := steps / 10
	over := func(from, to int) time.Duration { return completed[to].Sub(completed[from]) / time.Duration(tenth) }
	return over(0, tenth), over(steps-1-tenth, steps-1)
}

func BenchmarkW11(b *testing.B) {
	in := value{N: 5, Pad: strings.Repeat("x", *payloadFlag)}
	loops(b, workload{name: "W11", orchestration: heavySequence, input: in, steps: 5}, nil, 64)
}

func BenchmarkW12(b *testing.B) {
	limit(b)
	c, api := startCluster(b)
	warm(b, api)
	ctx, cancel := context.WithTimeout(b.Context(), max(3*time.Second, length()/3))
	capacity, elapsed, err := hello5.closedLoop(ctx, api, 64)
	cancel()
	if err != nil {
		b.Fatal(err)
	}
	rate := float64(len(capacity)) / elapsed.Seconds() / 2
	for _, n := range c.Nodes {
		_ = n.ResetPeak() // known on Linux only; elsewhere the peak is not told either
	}
	rec, err := recover12(b.Context(), c, api, hello5, rate, max(12*time.Second, 3*length()), "w12")
	if err != nil {
		b.Fatal(err)
	}
	if rec.lost > 0 || rec.doubled > 0 {
		b.Errorf("acknowledged work was lost or recorded twice: %v", rec)
	}
	keep(b, result{
		name: "W12", concurrency: 64, orchestrations: len(rec.all), steps: len(rec.all) * hello5.steps,
		elapsed: rec.elapsed, p50: rec.all.percentile(0.5), p99: rec.all.percentile(0.99),
		note: fmt.Sprintf("%.0f starts a second; %v", rate, rec),
	})
}

func BenchmarkFailover(b *testing.B) {
	if *takeoversFlag == 0 {
		b.Skip("-takeovers is 0")
	}
	c, _ := startCluster(b)
	dial := func() (*client.Client, error) { return client.Dial(c.APIAddrs()) }
	all, err := takeovers(b.Context(), c, dial, *takeoversFlag, b.Logf)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(len(all)), "takeovers")
	b.ReportMetric(milliseconds(all.percentile(0.5)), "p50-ms")
	b.ReportMetric(milliseconds(all.percentile(0.99)), "p99-ms")
	b.ReportMetric(milliseconds(all.max()), "max-ms")
}

func BenchmarkIdle(b *testing.B) {
	c, _ := startCluster(b)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(100*rest(b, c).cpu, "%-of-a-core")
}
