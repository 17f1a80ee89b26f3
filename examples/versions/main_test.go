package main

import (
	"os"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

// release is the variable that tells a node process which release of the program it is.
const release = "EXAMPLE_RELEASE"

func TestMain(m *testing.M) {
	exampletest.Main(m, func(r *reprise.Registry, world outside.World) {
		if os.Getenv(release) == "1" {
			bindFirst(r, world)
		} else {
			bindSecond(r, world)
		}
	})
}

// The node that charged an order dies before it could tell, and comes back with the
// second release; so do the others, one by one. The order that the first release began
// ends as that would have ended it, orders of version 2.0 run as soon as one node has
// it, and only a new order of 1.0 takes the step that the patch brought.
func TestNewReleaseWhileOrdersRun(t *testing.T) {
	t.Setenv(release, "1")
	var world outside.Service
	server := exampletest.Serve(t, &world)
	c := exampletest.Start(t, server)
	ctx := exampletest.Context(t)
	start := func(version reprise.Orchestrator[Order, int], order Order) client.Handle[int] {
		t.Helper()
		h, err := client.Run(ctx, c.Client, version, order)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	finish := func(h client.Handle[int], version string, parcel int) {
		t.Helper()
		if err := client.Raise(ctx, c.Client, h.ID(), Packed, reprise.None{}); err != nil {
			t.Fatal(err)
		}
		got, err := h.Result(ctx)
		exampletest.Equal(t, got, parcel, err)
		in, err := h.Status(ctx)
		exampletest.Equal(t, in.Version, version, err)
	}

	charge := server.Hold("/charges")
	old := start(FulfilV1, Order{"lamp", 1})
	first := charge.By()
	c.Kill(first)
	t.Setenv(release, "2")
	c.Restart(first)

	finish(start(FulfilV2, Order{"chair", 2}), "2.0", 3)

	for _, n := range c.Nodes {
		if n.Name() != first {
			c.Kill(n.Name())
			c.Restart(n.Name())
		}
	}
	finish(start(FulfilV1, Order{"table", 3}), "1.0", 6)
	finish(old, "1.0", 7)

	exampletest.Equal(t, world.Effects(), []string{
		`/charges {"Item":"lamp","Cents":1}`, // by the first release
		`/charges {"Item":"chair","Cents":2}`,
		`/parcels "chair"`,
		`/letters "We charge 3 cents."`,
		`/charges {"Item":"table","Cents":3}`,
		`/parcels "table"`,
		`/parcels "lamp"`,
	}, nil)
}
