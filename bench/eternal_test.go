package bench

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// BenchmarkEternal tells whether an orchestration that continues as new grows: what
// nodes hold in memory and on disk after a tenth of the continuations, after half of them and after all.
func BenchmarkEternal(b *testing.B) {
	n := *continuesFlag
	if n == 0 {
		b.Skip("-continues is 0")
	}
	c, api := startCluster(b)
	warm(b, api)
	began := time.Now()
	eternalRounds(b, c, api, n/10, "tenth")
	eternalRounds(b, c, api, n/2-n/10, "half")
	eternalRounds(b, c, api, n-n/2, "all")
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(n)/time.Since(began).Seconds(), "continuations/s")
}

// eternalRounds lets one orchestration go through so many executions and tells what
// the largest node took at most meanwhile, and has on its disk afterwards.
func eternalRounds(b *testing.B, c *testcluster.Cluster, api *client.Client, n int, what string) {
	b.Helper()
	for _, node := range c.Nodes {
		_ = node.ResetPeak() // known on Linux only; elsewhere usage is not told either
	}
	if out, err := client.Execute(b.Context(), api, eternal, newValue(n)); err != nil || out.N != 0 {
		b.Fatal(out.N, err)
	}
	var rss, state, log int64
	for _, node := range c.Nodes {
		u, err := node.Usage()
		if err != nil {
			b.Skip(err)
		}
		inState, err := diskBytes(filepath.Join(node.Dir(), "raft", "state"))
		if err != nil {
			b.Fatal(err)
		}
		inLog, err := diskBytes(filepath.Join(node.Dir(), "raft", "log"))
		if err != nil {
			b.Fatal(err)
		}
		rss, state, log = max(rss, u.PeakRSSBytes), max(state, inState), max(log, inLog)
	}
	b.ReportMetric(float64(rss)/1e6, "rss-MB-"+what)
	b.ReportMetric(float64(state)/1e6, "state-MB-"+what)
	b.ReportMetric(float64(log)/1e6, "log-MB-"+what)
}

// diskBytes returns how long the files of a directory are together. A file that goes
// meanwhile counts for nothing.
func diskBytes(dir string) (sum int64, err error) {
	err = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return gone(err)
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		if info.Mode().IsRegular() {
			sum += info.Size()
		}
		return nil
	})
	return sum, err
}

func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
