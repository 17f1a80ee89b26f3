package main

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Raise struct {
		Who   string
		Cents int // more than the last bid
	}
	Bid struct {
		Who   string
		Cents int
	}
)

// Auction gets the price to begin with, and returns the winning bid.
var (
	Auction = reprise.NewOrchestration[int, Bid]("updates.auction")
	Higher  = reprise.NewUpdate[Raise, Bid]("higher")
	Sell    = reprise.NewUpdate[reprise.None, Bid]("sell")
	Charge  = reprise.NewActivity[Bid, int]("updates.charge", reprise.Retry(5, time.Second))

	ErrTooLittle = reprise.NewError("updates.too-little", "the step is too small")
	ErrOver      = reprise.NewError("updates.over", "the auction is over")
)

// step is the least by which a bid is higher than the one before.
const step = 100

func auction(o *reprise.Orchestration, price int) (Bid, error) {
	highest, over := Bid{Cents: price}, false
	Higher.Check(o, func(r Raise) error { // looks only
		switch {
		case over:
			return ErrOver
		case r.Cents < step:
			return ErrTooLittle
		}
		return nil
	})
	Higher.Handle(o, func(r Raise) (Bid, error) { // whenever the orchestrator waits
		highest = Bid{r.Who, highest.Cents + r.Cents}
		return highest, nil
	})
	sell, err := Sell.Receive(o).Await(o)
	if err != nil {
		return highest, err
	}
	over = true
	_, err = Charge.Call(o, highest)
	sell.Reply(highest, err)
	return highest, err
}

type cashier struct{ world outside.World }

func (c cashier) charge(ctx context.Context, bid Bid) (int, error) {
	return c.world.Post(ctx, "/charges", bid)
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Auction, auction)
	reprise.Bind(r, Charge, cashier{world}.charge)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		h, err := client.Run(ctx, c, Auction, 10000, client.WithID("lot-7"))
		if err != nil {
			return err
		}
		for _, raise := range []Raise{{"ada", 500}, {"bob", 1}, {"bob", 200}} {
			bid, err := client.Update(ctx, c, h.ID(), Higher, raise)
			if err != nil {
				fmt.Println(raise.Who, "hears:", err)
				continue
			}
			fmt.Printf("%s bids %d cents\n", bid.Who, bid.Cents)
		}
		bid, err := client.Update(ctx, c, h.ID(), Sell, reprise.None{})
		if err != nil {
			return err
		}
		fmt.Printf("sold to %s for %d cents\n", bid.Who, bid.Cents)
		return nil
	})
}
