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
	Trip struct {
		Customer, City string
		Cents          int
	}
	Receipt struct{ Number int }
	Tickets struct{ Numbers []int }
)

var (
	Book = reprise.NewOrchestration[Trip, Tickets]("saga.book")

	TakeSeat = reprise.NewActivity[Trip, int]("saga.take-seat", patiently)
	FreeSeat = reprise.NewActivity[Trip, reprise.None]("saga.free-seat", patiently)
	TakeRoom = reprise.NewActivity[Trip, int]("saga.take-room", patiently)
	FreeRoom = reprise.NewActivity[Trip, reprise.None]("saga.free-room", patiently)
	Charge   = reprise.NewActivity[Trip, Receipt]("saga.charge", patiently)
	Refund   = reprise.NewActivity[reprise.Undo[Trip, Receipt], reprise.None]("saga.refund", patiently)
	Issue    = reprise.NewActivity[Trip, int]("saga.issue", patiently)

	ErrNoSuchCity = reprise.NewError("saga.no_such_city", "nobody goes there")

	patiently = reprise.Retry(20, 200*time.Millisecond, reprise.MaxInterval(time.Minute))
)

func book(o *reprise.Orchestration, trip Trip) (tickets Tickets, err error) {
	var saga reprise.Saga
	defer saga.Compensate(o, &err) // does nothing where err is nil

	seat := reprise.Step(o, &saga, TakeSeat, FreeSeat, trip) // both at once
	room := reprise.Step(o, &saga, TakeRoom, FreeRoom, trip)
	if tickets.Numbers, err = reprise.All(o, seat, room); err != nil {
		return tickets, err
	}
	if _, err = reprise.StepWithOutput(o, &saga, Charge, Refund, trip).Await(o); err != nil {
		return tickets, fmt.Errorf("charge %s: %w", trip.Customer, err)
	}
	// What cannot be undone comes last.
	ticket, err := Issue.Call(o, trip)
	if err != nil {
		return tickets, fmt.Errorf("tickets to %s: %w", trip.City, err)
	}
	tickets.Numbers = append(tickets.Numbers, ticket)
	return tickets, nil
}

type companies struct{ world outside.World }

// post returns an activity that asks a company for something.
func (c companies) post(path string) func(context.Context, Trip) (int, error) {
	return func(ctx context.Context, trip Trip) (int, error) { return c.world.Post(ctx, path, trip.Customer) }
}

// free returns what gives something back; a company that was never asked for it does
// nothing.
func (c companies) free(path string) func(context.Context, Trip) (reprise.None, error) {
	return func(ctx context.Context, trip Trip) (reprise.None, error) {
		_, err := c.world.Post(ctx, path, trip.Customer)
		return reprise.None{}, err
	}
}

func (c companies) charge(ctx context.Context, trip Trip) (Receipt, error) {
	number, err := c.world.Post(ctx, "/charges", trip.Cents)
	return Receipt{number}, err
}

// refund knows the receipt, if there is one. Where the payment timed out there is
// none, and the card company looks for what the customer paid.
func (c companies) refund(ctx context.Context, charge reprise.Undo[Trip, Receipt]) (none reprise.None, err error) {
	if charge.Done {
		_, err = c.world.Post(ctx, "/refunds", charge.Output)
	} else {
		_, err = c.world.Post(ctx, "/refunds", charge.Input.Customer)
	}
	return none, err
}

func (c companies) issue(ctx context.Context, trip Trip) (int, error) {
	if trip.City == "Atlantis" {
		return 0, reprise.NonRetryable(ErrNoSuchCity)
	}
	return c.world.Post(ctx, "/tickets", trip.City)
}

func bind(r *reprise.Registry, world outside.World) {
	c := companies{world}
	reprise.Bind(r, Book, book)
	reprise.Bind(r, TakeSeat, c.post("/seats/take"))
	reprise.Bind(r, FreeSeat, c.free("/seats/free"))
	reprise.Bind(r, TakeRoom, c.post("/rooms/take"))
	reprise.Bind(r, FreeRoom, c.free("/rooms/free"))
	reprise.Bind(r, Charge, c.charge)
	reprise.Bind(r, Refund, c.refund)
	reprise.Bind(r, Issue, c.issue)
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		for _, city := range []string{"Lisbon", "Atlantis"} {
			h, err := client.Run(ctx, c, Book, Trip{"Ada", city, 42000})
			if err != nil {
				return err
			}
			tickets, err := h.Result(ctx)
			fmt.Printf("%s: tickets %v, error: %v\n", city, tickets.Numbers, err)
		}
		return nil
	})
}
