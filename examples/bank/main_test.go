package main

import (
	"errors"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader of an account dies while money is moved in all directions. None is lost
// and none is made, and each transfer happened once or not at all.
func TestNoMoneyIsLost(t *testing.T) {
	c := exampletest.Start(t, nil)
	ctx := exampletest.Context(t)
	names := []string{"ada", "bob", "eve"}
	want := map[string]int{}
	for _, name := range names {
		want[name] = 1000
		if err := client.Signal(ctx, c.Client, Account.Key(name), Deposit, 1000); err != nil {
			t.Fatal(err)
		}
	}
	const transfers = 24
	var ended []func() error
	for i := range transfers {
		tr := Transfer{names[i%3], names[(i+1+i/3%2)%3], 10 + i}
		h, err := client.Run(ctx, c.Client, Move, tr)
		if err != nil {
			t.Fatal(err)
		}
		want[tr.From] -= tr.Cents
		want[tr.To] += tr.Cents
		ended = append(ended, func() error { _, err := h.Result(ctx); return err })
		if i == transfers/2 {
			c.KillLeader(Account.Key("ada").ID())
		}
	}
	h, err := client.Run(ctx, c.Client, Audit, names)
	if err != nil {
		t.Fatal(err)
	}
	sum, err := h.Result(ctx)
	exampletest.Equal(t, sum, 3000, err) // in the middle of it
	for _, result := range ended {
		if err := result(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range names {
		balance, _, err := client.ReadEntity(ctx, c.Client, Account.Key(name))
		exampletest.Equal(t, balance.Cents, want[name], err)
	}

	poor, err := client.Run(ctx, c.Client, Move, Transfer{"ada", "bob", 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := poor.Result(ctx); !errors.Is(err, ErrFunds) {
		t.Errorf("error %v, want %v", err, ErrFunds)
	}
}
