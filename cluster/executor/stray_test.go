package executor

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// A goroutine that an orchestrator has made neither ends the process when it waits, nor
// goes unnoticed when the orchestrator has ended before.
func TestStray(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := make(chan struct{})
		registry := reprise.NewRegistry()
		reprise.Bind(registry, count, func(o *reprise.Orchestration, n int) (int, error) {
			go func() {
				<-late
				_, _ = work.Call(o, n)
			}()
			return n, nil
		})
		var logged bytes.Buffer
		e := NewOrchestrators(registry, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		defer e.Close(t.Context())
		in := newInstance("strays", "count")
		if end := in.start(t, e).Completion(); end == nil || end.Status != history.Completed {
			t.Errorf("ended with %+v", end)
		}
		close(late)
		synctest.Wait()
		for _, want := range []string{"used after its end", "instance=strays", "stray_test.go:"} {
			if !strings.Contains(logged.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, logged.String())
			}
		}
	})
}
