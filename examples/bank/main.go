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
	// Balance is the state of an account, in cents.
	Balance struct{ Cents int }
	// Transfer names two accounts.
	Transfer struct {
		From, To string
		Cents    int
	}
)

var (
	Account  = reprise.NewEntity[Balance]("bank.account")
	Deposit  = reprise.NewOperation[int, int](Account, "deposit")  // returns the new balance
	Withdraw = reprise.NewOperation[int, int](Account, "withdraw") // likewise
	See      = reprise.NewOperation[reprise.None, int](Account, "see")
	Move     = reprise.NewOrchestration[Transfer, reprise.None]("bank.move")
	Audit    = reprise.NewOrchestration[[]string, int]("bank.audit")

	ErrFunds = reprise.NewError("bank.funds", "there is not enough money in the account")
)

func deposit(_ *reprise.EntityContext, b *Balance, cents int) (int, error) {
	b.Cents += cents
	return b.Cents, nil
}

// withdraw fails as if it had not been called: the state stays what it was.
func withdraw(_ *reprise.EntityContext, b *Balance, cents int) (int, error) {
	b.Cents -= cents
	if b.Cents < 0 {
		return 0, ErrFunds
	}
	return b.Cents, nil
}

func see(_ *reprise.EntityContext, b *Balance, _ reprise.None) (int, error) { return b.Cents, nil }

func move(o *reprise.Orchestration, t Transfer) (none reprise.None, err error) {
	from, to := Account.Key(t.From), Account.Key(t.To)
	return none, reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
		if _, err := reprise.Do(s, from, Withdraw, t.Cents); err != nil {
			return err
		}
		_, err := reprise.Do(s, to, Deposit, t.Cents)
		return err
	})
}

// audit counts the money of all accounts while nobody can move any.
func audit(o *reprise.Orchestration, accounts []string) (sum int, err error) {
	var all []reprise.EntityReference
	for _, name := range accounts {
		all = append(all, Account.Key(name))
	}
	err = reprise.Critical(o, reprise.Lock(all...), func(s *reprise.Section) error {
		sum = 0
		for _, name := range accounts {
			cents, err := reprise.Do(s, Account.Key(name), See, reprise.None{})
			if err != nil {
				return err
			}
			sum += cents
		}
		return nil
	})
	return sum, err
}

func bind(r *reprise.Registry, _ outside.World) {
	reprise.Bind(r, Deposit, deposit)
	reprise.Bind(r, Withdraw, withdraw)
	reprise.Bind(r, See, see)
	reprise.Bind(r, Move, move)
	reprise.Bind(r, Audit, audit)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		if err := client.Signal(ctx, c, Account.Key("ada"), Deposit, 100); err != nil {
			return err
		}
		for _, cents := range []int{70, 70} {
			h, err := client.Run(ctx, c, Move, Transfer{"ada", "bob", cents})
			if err != nil {
				return err
			}
			_, err = h.Result(ctx)
			fmt.Printf("%d cents from ada to bob: %v\n", cents, err)
		}
		for _, name := range []string{"ada", "bob"} {
			balance, _, err := client.ReadEntity(ctx, c, Account.Key(name))
			if err != nil {
				return err
			}
			fmt.Printf("%s has %d cents\n", name, balance.Cents)
		}
		return nil
	})
}
