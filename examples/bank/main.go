package main

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Acct     struct{ Balance int }
	Transfer struct {
		From, To string
		Amount   int
	}
)

var (
	Account  = reprise.NewEntity[Acct]("bank.account")
	Deposit  = reprise.NewOperation[int, int](Account, "deposit")
	Withdraw = reprise.NewOperation[int, int](Account, "withdraw")
	Balance  = reprise.NewOperation[reprise.None, int](Account, "balance")

	Move  = reprise.NewOrchestration[Transfer, reprise.None]("bank.transfer")
	Audit = reprise.NewOrchestration[[]string, int]("bank.audit")

	ErrNoFunds = reprise.NewError("bank.no_funds", "insufficient funds")
)

func deposit(_ *reprise.EntityContext, a *Acct, amount int) (int, error) {
	a.Balance += amount
	return a.Balance, nil
}

func withdraw(e *reprise.EntityContext, a *Acct, amount int) (int, error) {
	if a.Balance -= amount; a.Balance < 0 { // it has not happened where this returns an error
		return 0, fmt.Errorf("%s: %w", e.Key(), ErrNoFunds)
	}
	return a.Balance, nil
}

func balance(_ *reprise.EntityContext, a *Acct, _ reprise.None) (int, error) { return a.Balance, nil }

func transfer(o *reprise.Orchestration, t Transfer) error {
	from, to := Account.Key(t.From), Account.Key(t.To)
	return reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
		if _, err := reprise.Do(s, from, Withdraw, t.Amount); err != nil {
			return err // nothing has happened yet
		}
		_, err := reprise.Do(s, to, Deposit, t.Amount)
		return err
	})
}

func audit(o *reprise.Orchestration, names []string) (sum int, err error) {
	var all []reprise.EntityReference
	for _, name := range names {
		all = append(all, Account.Key(name))
	}
	err = reprise.Critical(o, reprise.Lock(all...), func(s *reprise.Section) error {
		var balances []reprise.Future[int]
		for _, name := range names {
			balances = append(balances, reprise.StartIn(s, Account.Key(name), Balance, reprise.None{})) // all at once
		}
		values, err := reprise.All(o, balances...)
		for _, v := range values {
			sum += v
		}
		return err
	})
	return sum, err
}

func bind(r *reprise.Registry, _ outside.World) {
	reprise.Bind(r, Deposit, deposit)
	reprise.Bind(r, Withdraw, withdraw)
	reprise.Bind(r, Balance, balance)
	reprise.Bind(r, Move, reprise.NoOutput(transfer))
	reprise.Bind(r, Audit, audit)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		for _, name := range []string{"ann", "bob"} {
			if err := client.Signal(ctx, c, Account.Key(name), Deposit, 100); err != nil {
				return err
			}
		}
		for _, t := range []Transfer{{"ann", "bob", 30}, {"bob", "ann", 500}} {
			h, err := client.Run(ctx, c, Move, t)
			if err != nil {
				return err
			}
			_, err = h.Result(ctx)
			fmt.Printf("%d from %s to %s: %v\n", t.Amount, t.From, t.To, err)
		}
		for a, err := range client.Entities(ctx, c, Account) {
			if err != nil {
				return err
			}
			fmt.Println(a.Ref.Key(), "has", a.State.Balance)
		}
		return nil
	})
}
