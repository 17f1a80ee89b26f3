package main

import (
	"slices"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The node that charged the card dies before it could tell anybody. Another one
// charges again, and the key makes it the same charge.
func TestChargedOnceAlthoughANodeDies(t *testing.T) {
	var shop outside.Service
	world := exampletest.Serve(t, &shop)
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	charge := world.Hold("/charges")
	h, err := client.Run(ctx, c.Client, Fulfil, Order{"Ada", "lamp", 4200})
	if err != nil {
		t.Fatal(err)
	}
	c.Kill(charge.By())

	shipment, err := h.Result(ctx)
	if err != nil || shipment.Parcel != 2 {
		t.Errorf("shipment %+v, %v; want parcel 2", shipment, err)
	}
	want := []string{
		`/charges {"Customer":"Ada","Item":"lamp","Cents":4200}`,
		`/parcels "lamp"`,
		`/letters {"To":"Ada","Text":"Your lamp is in parcel 2; receipt 1."}`,
	}
	if got := shop.Effects(); !slices.Equal(got, want) {
		t.Errorf("it happened %q,\nwant %q", got, want)
	}
	if n := world.Asked("/charges"); n != 2 {
		t.Errorf("the card company was asked %d times; want 2, or the kill came too late to show anything", n)
	}
}
