package main

import (
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The node that has the cart in its memory dies. Another one has the same variables
// from the history, and answers.
func TestCartOutlivesItsNode(t *testing.T) {
	c := exampletest.Start(t, nil)
	ctx := exampletest.Context(t)
	h, err := client.Run(ctx, c.Client, Shop, reprise.None{}, client.WithID("cart"))
	if err != nil {
		t.Fatal(err)
	}
	put := func(item Item) {
		t.Helper()
		if err := client.Raise(ctx, c.Client, h.ID(), Put, item); err != nil {
			t.Fatal(err)
		}
	}
	contents := func(want Cart) {
		t.Helper()
		got, err := client.Query(ctx, c.Client, h.ID(), Contents, reprise.None{})
		exampletest.Equal(t, got, want, err)
	}
	lamp, chair, piano := Item{"lamp", 4200}, Item{"chair", 9900}, Item{"piano", 420000}

	put(lamp)
	put(piano)
	contents(Cart{[]Item{lamp, piano}, 424200})
	c.KillLeader(h.ID())
	contents(Cart{[]Item{lamp, piano}, 424200})
	if err := client.Raise(ctx, c.Client, h.ID(), Remove, "piano"); err != nil {
		t.Fatal(err)
	}
	put(chair)
	contents(Cart{[]Item{lamp, chair}, 14100})

	if err := client.Raise(ctx, c.Client, h.ID(), CheckOut, reprise.None{}); err != nil {
		t.Fatal(err)
	}
	cart, err := h.Result(ctx)
	exampletest.Equal(t, cart, Cart{[]Item{lamp, chair}, 14100}, err)
	contents(cart) // after the end, too
}
