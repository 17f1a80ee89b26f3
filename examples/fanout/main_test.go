package main

import (
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader dies when all but one of the counts are recorded. Those are not made
// again, and the totals are those of a plain loop.
func TestRecordedCountsStay(t *testing.T) {
	const dir = "../.." // the authoring package's sources
	const flaky, slow = "/registry.go", "/codec.go"
	site, once := http.FileServer(http.Dir(dir)), sync.Once{}
	world := exampletest.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fail := false
		if r.URL.Path == flaky {
			once.Do(func() { fail = true })
		}
		if fail {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		site.ServeHTTP(w, r)
	}))
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	names, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(names) < 10 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	want := Totals{Files: len(names), Failed: map[string]string{world.URL() + "/missing.go": ErrNoFile.Error()}}
	urls := []string{world.URL() + "/missing.go"}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		counts := countText(text)
		want.Lines += counts.Lines
		want.Words += counts.Words
		urls = append(urls, world.URL()+"/"+filepath.Base(name))
	}

	last := world.Hold(slow)
	h, err := client.Run(ctx, c.Client, CountAll, urls)
	if err != nil {
		t.Fatal(err)
	}
	last.By()
	c.Until(h.ID(), func(in client.Instance) bool {
		p, err := reprise.DecodePayload[Progress](reprise.JSON, "progress", in.CustomStatus) // absent at first
		return err == nil && p.Of > 0 && p.Done == p.Of-1
	})
	c.KillLeader(h.ID())
	last.Release()

	got, err := h.Result(ctx)
	exampletest.Equal(t, got, want, err)
	asked := world.Asked("/") - world.Asked(slow)
	if want := len(urls) - 1 + 1; asked != want { // all but the slow one, and the flaky one twice
		t.Errorf("%d requests for files that were counted before the kill, want %d", asked, want)
	}
}
