package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// A node dies when the laboratory has the sample and nobody knows. The next
// attempt brings a token of its own, which is the one that counts; and once it is
// recorded that the activity waits, no death makes another one.
func TestTheNewestTokenCounts(t *testing.T) {
	lab := newLab()
	server := exampletest.Serve(t, lab)
	c := exampletest.Start(t, nil)
	ctx := exampletest.Context(t)

	given := server.Hold("/samples")
	h, err := client.Run(ctx, c.Client, Examine, Sample{"Ada", server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	first := given.By()
	c.Kill(first)
	old, token := <-lab.came, <-lab.came
	if err := client.CompleteActivity(ctx, c.Client, old, Finding{}); !errors.Is(err, client.ErrStale) {
		t.Errorf("the first token: %v, want %v", err, client.ErrStale)
	}

	c.Restart(first)
	c.Until(h.ID(), func(in client.Instance) bool {
		return slices.ContainsFunc(in.Waiting, func(what string) bool { return strings.Contains(what, "token") })
	})
	c.KillLeader(h.ID())
	if err := client.CompleteActivity(ctx, c.Client, token, Finding{Healthy: true}); err != nil {
		t.Fatal(err)
	}
	verdict, err := h.Result(ctx)
	exampletest.Equal(t, verdict, "Ada is healthy", err)
	if n := server.Asked("/samples"); n != 2 {
		t.Errorf("the laboratory got %d samples, want 2", n)
	}
}
