package main

import (
	"errors"
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/history"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader dies during a poll. The polls go on as if nothing had happened, the
// pauses growing from where they were.
func TestPollsOnAlthoughTheLeaderDies(t *testing.T) {
	world := exampletest.Serve(t, &jobs{enough: 6})
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	polled := world.Hold("/jobs/1")
	h, err := client.Run(ctx, c.Client, Monitor, Watch{world.URL() + "/jobs/1", 20 * time.Millisecond, 50 * time.Millisecond, time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	polled.By()
	c.KillLeader(h.ID())
	polled.Release()

	outcome, err := h.Result(ctx)
	if err != nil || outcome.Result != "42" || outcome.Polls < 1 || outcome.Polls > 6 { // fewer where one was asked twice
		t.Errorf("outcome %+v, %v", outcome, err)
	}
	var pauses []time.Duration
	var began time.Time
	for e, err := range h.History(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		switch b := e.Body.(type) {
		case history.OrchestratorStarted:
			began = e.Time
		case *history.TimerCreated:
			pauses = append(pauses, b.FireAt.Sub(began))
		}
	}
	ms := time.Millisecond
	exampletest.Equal(t, pauses, []time.Duration{20 * ms, 40 * ms, 50 * ms, 50 * ms, 50 * ms}[:outcome.Polls-1], nil)

	// A job that is never done is given up, and the client learns it as the sentinel.
	stuck := exampletest.Serve(t, &jobs{enough: 1 << 40})
	h, err = client.Run(ctx, c.Client, Monitor, Watch{stuck.URL(), 10 * ms, 10 * ms, 30 * ms})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.Result(ctx); !errors.Is(err, ErrGaveUp) {
		t.Errorf("error %v, want %v", err, ErrGaveUp)
	}
}
