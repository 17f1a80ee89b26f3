package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// A node dies in the middle of a round. No round is left out or done twice, and
// the history is as short after many rounds as after one.
func TestRoundsGoOnAlthoughANodeDies(t *testing.T) {
	var sweeps outside.Service
	world := exampletest.Serve(t, &sweeps)
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	const killed, enough = 5, 25
	middle, late := world.Hold(fmt.Sprintf("/sweeps/%d", killed)), world.Hold(fmt.Sprintf("/sweeps/%d", enough))
	h, err := client.Run(ctx, c.Client, Clean, Cleanup{Every: time.Millisecond}, client.WithID("cleanup"))
	if err != nil {
		t.Fatal(err)
	}
	c.Kill(middle.By())
	late.By()
	in, err := h.Status(ctx)
	if err != nil || in.HistoryEvents > 10 {
		t.Errorf("%d events after %d rounds, %v", in.HistoryEvents, enough, err)
	}
	if err := client.Raise(ctx, c.Client, h.ID(), Stop, reprise.None{}); err != nil {
		t.Fatal(err)
	}
	late.Release()

	last, err := h.Result(ctx)
	exampletest.Equal(t, last, Cleanup{time.Millisecond, enough}, err)
	var want []string
	for round := range enough {
		want = append(want, fmt.Sprintf(`/sweeps/%d "all that has expired"`, round+1))
	}
	exampletest.Equal(t, sweeps.Effects(), want, nil)
	if n := world.Asked(fmt.Sprintf("/sweeps/%d", killed)); n != 2 {
		t.Errorf("round %d was asked for %d times, want 2", killed, n)
	}
}
