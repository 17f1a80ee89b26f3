package main

import (
	"errors"
	"slices"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The node that pays the money back dies before it could tell. The steps are undone
// all the same, newest first, and each once.
func TestUndoneOnceAlthoughANodeDies(t *testing.T) {
	var companies outside.Service
	world := exampletest.Serve(t, &companies)
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	refund := world.Hold("/refunds")
	h, err := client.Run(ctx, c.Client, Book, Trip{"Ada", "Atlantis", 42000})
	if err != nil {
		t.Fatal(err)
	}
	c.Kill(refund.By())
	if _, err := h.Result(ctx); !errors.Is(err, ErrNoSuchCity) {
		t.Errorf("error %v, want %v", err, ErrNoSuchCity)
	}
	got := companies.Effects()
	slices.Sort(got[:min(2, len(got))]) // seat and room are taken at once
	exampletest.Equal(t, got, []string{
		`/rooms/take "Ada"`, `/seats/take "Ada"`, `/charges 42000`,
		`/refunds {"Number":3}`, `/rooms/free "Ada"`, `/seats/free "Ada"`,
	}, nil)
	if n := world.Asked("/refunds"); n != 2 {
		t.Errorf("%d requests for the refund, want 2: the kill came too late to show anything", n)
	}

	// Where all goes well nothing is undone.
	h, err = client.Run(ctx, c.Client, Book, Trip{"Bob", "Lisbon", 100})
	if err != nil {
		t.Fatal(err)
	}
	tickets, err := h.Result(ctx)
	if err != nil || len(tickets.Numbers) != 3 {
		t.Errorf("tickets %+v, %v", tickets, err)
	}
	if n := len(companies.Effects()) - len(got); n != 4 {
		t.Errorf("%d things were done, want 4", n)
	}
}
