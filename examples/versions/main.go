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

type Order struct {
	Item  string
	Cents int
}

// Fulfil returns the number of a parcel. Its versions have one name, and one input and
// output.
var (
	Fulfil   = reprise.NewOrchestration[Order, int]("versions.fulfil")
	FulfilV1 = Fulfil.Version("1.0")
	FulfilV2 = Fulfil.Version("2.0")

	Packed   = reprise.NewEvent[reprise.None]("packed")
	Charge   = reprise.NewActivity[Order, int]("versions.charge", reprise.Retry(5, time.Second))
	Ship     = reprise.NewActivity[Order, int]("versions.ship", reprise.Retry(5, time.Second))
	Announce = reprise.NewActivity[Order, int]("versions.announce", reprise.Retry(5, time.Second))
)

// fulfilFirst is 1.0 as the first release had it. A real program does not keep it: it
// has become fulfilV1.
func fulfilFirst(o *reprise.Orchestration, order Order) (int, error) {
	if _, err := Charge.Call(o, order); err != nil {
		return 0, err
	}
	if _, err := Packed.Receive(o).Await(o); err != nil {
		return 0, err
	}
	return Ship.Call(o, order)
}

// fulfilV1 is 1.0 as the second release has it: with one step more, for the orders that
// were not here before.
func fulfilV1(o *reprise.Orchestration, order Order) (int, error) {
	if o.Patched("announce-charge") {
		if _, err := Announce.Call(o, order); err != nil {
			return 0, err
		}
	}
	if _, err := Charge.Call(o, order); err != nil {
		return 0, err
	}
	if _, err := Packed.Receive(o).Await(o); err != nil {
		return 0, err
	}
	return Ship.Call(o, order)
}

// fulfilV2 is 2.0: it charges what is packed.
func fulfilV2(o *reprise.Orchestration, order Order) (int, error) {
	if _, err := Packed.Receive(o).Await(o); err != nil {
		return 0, err
	}
	if _, err := Charge.Call(o, order); err != nil {
		return 0, err
	}
	return Ship.Call(o, order)
}

type shop struct{ world outside.World }

func (s shop) charge(ctx context.Context, order Order) (int, error) {
	return s.world.Post(ctx, "/charges", order)
}

func (s shop) ship(ctx context.Context, order Order) (int, error) {
	return s.world.Post(ctx, "/parcels", order.Item)
}

func (s shop) announce(ctx context.Context, order Order) (int, error) {
	return s.world.Post(ctx, "/letters", fmt.Sprintf("We charge %d cents.", order.Cents))
}

// bindFirst binds what the first release of the program has.
func bindFirst(r *reprise.Registry, world outside.World) {
	s := shop{world}
	reprise.Bind(r, FulfilV1, fulfilFirst)
	reprise.Bind(r, Charge, s.charge)
	reprise.Bind(r, Ship, s.ship)
}

// bindSecond binds what the second release has: both versions, for there are orders of
// both.
func bindSecond(r *reprise.Registry, world outside.World) {
	s := shop{world}
	reprise.Bind(r, FulfilV1, fulfilV1)
	reprise.Bind(r, FulfilV2, fulfilV2)
	reprise.Bind(r, Charge, s.charge)
	reprise.Bind(r, Ship, s.ship)
	reprise.Bind(r, Announce, s.announce)
}

func main() {
	local.Run(bindSecond, func(ctx context.Context, c *client.Client) error {
		for _, version := range []reprise.Orchestrator[Order, int]{FulfilV1, FulfilV2} {
			h, err := client.Run(ctx, c, version, Order{"lamp", 4200})
			if err != nil {
				return err
			}
			if err := client.Raise(ctx, c, h.ID(), Packed, reprise.None{}); err != nil {
				return err
			}
			parcel, err := h.Result(ctx)
			if err != nil {
				return err
			}
			fmt.Printf("version %s: the lamp is in parcel %d\n", version.VersionName(), parcel)
		}
		return nil
	})
}
