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

// Contracts: what clients, orchestrators and whoever runs them have in common.
type (
	Order struct {
		Customer string
		Item     string
		Cents    int
	}
	Receipt  struct{ Number int }
	Shipment struct{ Parcel int }
	Letter   struct {
		To, Text string
	}
)

var (
	Fulfil = reprise.NewOrchestration[Order, Shipment]("chaining.fulfil")
	Charge = reprise.NewActivity[Order, Receipt]("chaining.charge", reprise.Retry(5, time.Second))
	Ship   = reprise.NewActivity[Order, Shipment]("chaining.ship", reprise.Retry(5, time.Second))
	Mail   = reprise.NewActivity[Letter, reprise.None]("chaining.mail", reprise.Retry(5, time.Second))
)

// fulfil reads like a function that calls three others, and it is one.
func fulfil(o *reprise.Orchestration, order Order) (Shipment, error) {
	receipt, err := Charge.Call(o, order)
	if err != nil {
		return Shipment{}, fmt.Errorf("charge %s: %w", order.Customer, err)
	}
	shipment, err := Ship.Call(o, order)
	if err != nil {
		return Shipment{}, fmt.Errorf("ship the %s, paid by receipt %d: %w", order.Item, receipt.Number, err)
	}
	text := fmt.Sprintf("Your %s is in parcel %d; receipt %d.", order.Item, shipment.Parcel, receipt.Number)
	_, err = Mail.Call(o, Letter{order.Customer, text})
	return shipment, err
}

// shop has the activities and what they need. Every call of the world carries an
// idempotency key; see outside.World.
type shop struct{ world outside.World }

func (s shop) charge(ctx context.Context, order Order) (Receipt, error) {
	number, err := s.world.Post(ctx, "/charges", order)
	return Receipt{number}, err
}

func (s shop) ship(ctx context.Context, order Order) (Shipment, error) {
	parcel, err := s.world.Post(ctx, "/parcels", order.Item)
	return Shipment{parcel}, err
}

func (s shop) mail(ctx context.Context, letter Letter) error {
	_, err := s.world.Post(ctx, "/letters", letter)
	return err
}

// bind says which functions a node runs for the contracts.
func bind(r *reprise.Registry, world outside.World) {
	s := shop{world}
	reprise.Bind(r, Fulfil, fulfil)
	reprise.Bind(r, Charge, s.charge)
	reprise.Bind(r, Ship, s.ship)
	reprise.Bind(r, Mail, reprise.NoOutput(s.mail))
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		h, err := client.Run(ctx, c, Fulfil, Order{"Ada", "lamp", 4200}, client.WithID("order-1"))
		if err != nil {
			return err
		}
		shipment, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s is on its way in parcel %d\n", h.ID(), shipment.Parcel)
		return nil
	})
}
