package executor

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// A local activity is told what others are told; what it comes to is an outcome,
// and only a name that is not bound beside the orchestrator is none.
func TestLocals(t *testing.T) {
	local := func(name string) reprise.Activity[reprise.None, string] {
		return reprise.NewActivity[reprise.None, string](name, reprise.Local())
	}
	r := reprise.NewRegistry()
	caller := reprise.NewOrchestration[string, string]("caller")
	reprise.Bind(r, caller, func(o *reprise.Orchestration, name string) (string, error) {
		return local(name).Call(o, reprise.None{})
	})
	reprise.Bind(r, local("tells"), func(ctx context.Context, _ reprise.None) (string, error) {
		a := reprise.Attempt(ctx)
		return a.Key + " " + a.Fence.String(), nil
	})
	reprise.Bind(r, local("panics"), func(context.Context, reprise.None) (string, error) { panic("boom") })
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	e := NewOrchestrators(r, quiet(Options{}))
	call := func(ctx context.Context, name string) (history.Episode, error) {
		i := newInstance("a", "caller")
		req := i.request(&history.ExecutionStarted{Name: i.name, ExecutionID: "e", Input: history.Payload(`"` + name + `"`)})
		req.Fence = leader.Fence{Epoch: 7, N: 9}
		return e.Episode(ctx, req)
	}
	episode, err := call(t.Context(), "tells")
	if err != nil || string(episode.Completion().Result) != `"default/a/e/0 0000000000000007-0000000000000009"` {
		t.Errorf("tells: %v, %v", episode.Decided, err)
	}
	episode, err = call(t.Context(), "panics")
	if err != nil || episode.Completion().Failure == nil || episode.Completion().Failure.Message != "boom" {
		t.Errorf("panics: %v, %v", episode.Decided, err)
	}
	if _, err := call(t.Context(), "elsewhere"); !errors.Is(err, leader.ErrUnbound) || !strings.Contains(err.Error(), `"elsewhere"`) {
		t.Errorf("elsewhere: %v", err)
	}
	var waits atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	reprise.Bind(r, local("waits"), func(ctx context.Context, _ reprise.None) (string, error) {
		waits.Store(true)
		cancel()
		<-ctx.Done()
		return "", ctx.Err()
	})
	if _, err := call(ctx, "waits"); !errors.Is(err, context.Canceled) || !waits.Load() {
		t.Errorf("a reign that ends: %v", err)
	}
}
