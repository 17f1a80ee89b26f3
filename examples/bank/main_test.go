package main

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// Transfers between a few accounts, all at once, while a node dies that leads one of
// them: every audit sees the same sum, and so does whoever reads the accounts at the end.
func TestTheSumStaysAlthoughANodeDies(t *testing.T) {
	c := exampletest.Start(t, nil)
	ctx := exampletest.Context(t)
	names := []string{"ann", "bob", "cid", "dan"}
	for _, name := range names {
		if err := client.Signal(ctx, c.Client, Account.Key(name), Deposit, 100); err != nil {
			t.Fatal(err)
		}
	}
	const count = 60
	var moves []client.Handle[reprise.None]
	var audits []client.Handle[int]
	for i := range count {
		if i == count/3 {
			c.KillLeader(Account.Key("bob").ID())
		}
		from := rand.N(len(names))
		to := (from + 1 + rand.N(len(names)-1)) % len(names)
		move, err := client.Run(ctx, c.Client, Move, Transfer{names[from], names[to], rand.N(120)})
		if err != nil {
			t.Fatal(err)
		}
		moves = append(moves, move)
		if i%10 == 0 {
			audit, err := client.Run(ctx, c.Client, Audit, names)
			if err != nil {
				t.Fatal(err)
			}
			audits = append(audits, audit)
		}
	}
	for _, move := range moves {
		if _, err := move.Result(ctx); err != nil && !errors.Is(err, ErrNoFunds) {
			t.Error(err)
		}
	}
	for _, audit := range audits {
		sum, err := audit.Result(ctx)
		exampletest.Equal(t, sum, 100*len(names), err)
	}
	sum := 0
	for a, err := range client.Entities(ctx, c.Client, Account) {
		if err != nil {
			t.Fatal(err)
		}
		sum += a.State.Balance
	}
	exampletest.Equal(t, sum, 100*len(names), nil)
}
