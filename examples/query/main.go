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
	Item struct {
		Name  string
		Cents int
	}
	Cart struct {
		Items []Item
		Cents int
	}
)

var (
	Shop     = reprise.NewOrchestration[reprise.None, Cart]("query.shop")
	Put      = reprise.NewEvent[Item]("put")
	Remove   = reprise.NewEvent[string]("remove")
	CheckOut = reprise.NewEvent[reprise.None]("check-out")
	Contents = reprise.NewQuery[reprise.None, Cart]("contents")

	ErrForgotten = reprise.NewError("query.forgotten", "nobody came back to the cart")
)

// forgotten is after which time without any event a cart is given up.
const forgotten = 30 * 24 * time.Hour

func shop(o *reprise.Orchestration, _ reprise.None) (cart Cart, err error) {
	Contents.Handle(o, func(reprise.None) (Cart, error) { return cart, nil })
	for {
		put, remove, checkOut := Put.Receive(o), Remove.Receive(o), CheckOut.Receive(o)
		switch reprise.Select(o, put, remove, checkOut, o.Timer(forgotten)) { // the others are not waited for any more
		case 0:
			item, err := put.Await(o)
			if err != nil {
				return cart, err
			}
			cart.Items = append(cart.Items, item)
			cart.Cents += item.Cents
		case 1:
			name, err := remove.Await(o)
			if err != nil {
				return cart, err
			}
			cart = without(cart, name)
		case 2:
			_, err := checkOut.Await(o)
			return cart, err
		default:
			return cart, ErrForgotten
		}
	}
}

func without(cart Cart, name string) (rest Cart) {
	for _, item := range cart.Items {
		if item.Name != name {
			rest.Items = append(rest.Items, item)
			rest.Cents += item.Cents
		}
	}
	return rest
}

func bind(r *reprise.Registry, _ outside.World) { reprise.Bind(r, Shop, shop) }

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		h, err := client.Run(ctx, c, Shop, reprise.None{}, client.WithID("cart-of-ada"))
		if err != nil {
			return err
		}
		for _, item := range []Item{{"lamp", 4200}, {"chair", 9900}} {
			if err := client.Raise(ctx, c, h.ID(), Put, item); err != nil {
				return err
			}
			cart, err := client.Query(ctx, c, h.ID(), Contents, reprise.None{})
			if err != nil {
				return err
			}
			fmt.Printf("in the cart: %v\n", cart.Items)
		}
		if err := client.Raise(ctx, c, h.ID(), CheckOut, reprise.None{}); err != nil {
			return err
		}
		cart, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("bought for %d cents\n", cart.Cents)
		return nil
	})
}
