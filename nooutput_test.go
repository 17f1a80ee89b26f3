package reprise_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/reprise-run/reprise"
)

func TestNoOutput(t *testing.T) {
	errGone := errors.New("gone")
	shut := reprise.NewOrchestration[string, reprise.None]("close")
	release := reprise.NewActivity[string, reprise.None]("release")
	var ran []string
	registry := reprise.NewRegistry()
	reprise.Bind(registry, shut, reprise.NoOutput(func(o *reprise.Orchestration, item string) error {
		ran = append(ran, string(o.InstanceID()), item)
		return errGone
	}))
	reprise.Bind(registry, release, reprise.NoOutput(func(ctx context.Context, item string) error {
		ran = append(ran, item)
		return ctx.Err()
	}))
	if err := registry.Err(); err != nil {
		t.Fatal(err)
	}
	r := &run{registry: registry}
	if end := r.start(t, "close", `"lamp"`); end.Failure == nil || end.Failure.Message != "gone" || len(ran) != 2 || ran[1] != "lamp" {
		t.Errorf("%+v; ran with %q", end, ran)
	}
	fn, _ := registry.Activity("release")
	if out, failure := fn(t.Context(), []byte(`"lamp"`)); failure != nil || len(out) != 0 || len(ran) != 3 {
		t.Errorf("%q, %v; ran with %q", out, failure, ran)
	}

	missing := reprise.NewRegistry()
	reprise.Bind(missing, release, reprise.NoOutput[context.Context, string](nil))
	if err := missing.Err(); err == nil || !strings.Contains(err.Error(), "the function is nil") {
		t.Errorf("bound to nothing: %v", err)
	}
}
