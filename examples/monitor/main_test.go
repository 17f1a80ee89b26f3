package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
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
	watched := make(chan error, 1)
	go func() { watched <- watch(ctx, h) }()
	polled.By()
	c.KillLeader(h.ID())
	polled.Release()

	outcome, err := h.Result(ctx)
	if err != nil || outcome.Result != "42" || outcome.Polls < 1 || outcome.Polls > 6 { // fewer where one was asked twice
		t.Errorf("outcome %+v, %v", outcome, err)
	}
	if err := <-watched; err != nil {
		t.Error(err)
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

// watch follows the monitor to its end, through the death of its leader.
func watch(ctx context.Context, h client.Handle[Outcome]) error {
	polls := 0
	var last client.Instance
	for in, err := range h.Watch(ctx) {
		if err != nil {
			return err
		}
		last = in
		if in.CustomStatus == nil {
			continue
		}
		s, err := reprise.DecodePayload[Status](reprise.JSON, "status", in.CustomStatus)
		if err != nil {
			return err
		}
		if s.Polls < polls {
			return fmt.Errorf("watched poll %d after poll %d", s.Polls, polls)
		}
		polls = s.Polls
	}
	outcome, err := reprise.DecodePayload[Outcome](reprise.JSON, "outcome", last.Output)
	if err != nil || last.Status != history.Completed || outcome.Polls != polls+1 {
		return fmt.Errorf("watched %v %+v at the end, after %d polls, %w", last.Status, outcome, polls, err)
	}
	return nil
}
