package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
)

// Contracts.
type (
	Order struct {
		ID       string `json:"id"`
		Customer string `json:"customer"`
		Item     string `json:"item"`
		Cents    int    `json:"cents"`
	}
	Receipt struct {
		Number int `json:"number"`
		Cents  int `json:"cents"`
	}
	Parcel struct {
		Number string `json:"number"`
	}
	Approval struct {
		By string `json:"by"`
		OK bool   `json:"ok"`
	}
	// Fulfilled is how an order ends well.
	Fulfilled struct {
		ApprovedBy string  `json:"approvedBy,omitempty"`
		Receipt    Receipt `json:"receipt"`
		Parcel     Parcel  `json:"parcel"`
	}
)

var (
	Fulfil   = reprise.NewOrchestration[Order, Fulfilled]("orders.fulfil")
	Charge   = reprise.NewActivity[Order, Receipt]("orders.charge", patiently)
	Refund   = reprise.NewActivity[reprise.Undo[Order, Receipt], reprise.None]("orders.refund", patiently)
	Pack     = reprise.NewActivity[Order, Parcel]("orders.pack", patiently)
	Approved = reprise.NewEvent[Approval]("approved")

	ErrNotApproved = reprise.NewError("orders.not_approved", "the order was not approved")
	ErrSoldOut     = reprise.NewError("orders.sold_out", "sold out")

	patiently = reprise.Retry(100, 200*time.Millisecond, reprise.MaxInterval(time.Minute))
)

const (
	// approvalFrom is from which sum on somebody has to approve an order.
	approvalFrom = 1000_00
	// approvalTime is how long that may take.
	approvalTime = 72 * time.Hour
)

// fulfil is the life of an order. Its custom status is where it stands.
func fulfil(o *reprise.Orchestration, order Order) (done Fulfilled, err error) {
	var saga reprise.Saga
	defer saga.Compensate(o, &err) // pays back where a later step fails
	if order.Cents >= approvalFrom {
		if err := o.SetCustomStatus("waits for approval"); err != nil {
			return done, err
		}
		approval, err := reprise.WithTimeout(o, approvalTime, Approved.Receive(o))
		if errors.Is(err, reprise.ErrTimeout) || err == nil && !approval.OK {
			return done, ErrNotApproved
		}
		if err != nil {
			return done, err
		}
		done.ApprovedBy = approval.By
	}
	if err := o.SetCustomStatus("is being paid and packed"); err != nil {
		return done, err
	}
	if done.Receipt, err = reprise.StepWithOutput(o, &saga, Charge, Refund, order).Await(o); err != nil {
		return done, fmt.Errorf("charge: %w", err)
	}
	if done.Parcel, err = Pack.Call(o, order); err != nil {
		return done, fmt.Errorf("pack: %w", err)
	}
	return done, nil
}

// shop has the activities and what they need.
type shop struct{ payments payments }

func (s shop) charge(ctx context.Context, order Order) (Receipt, error) {
	number, err := s.payments.post(ctx, "/charges", order)
	return Receipt{number, order.Cents}, err
}

// refund undoes a charge. Where nobody knows whether there was one, the receipt has
// no number, and the card company looks for the order.
func (s shop) refund(ctx context.Context, charge reprise.Undo[Order, Receipt]) error {
	_, err := s.payments.post(ctx, "/refunds", struct {
		Order   string
		Receipt int
	}{charge.Input.ID, charge.Output.Number})
	return err
}

func (s shop) pack(_ context.Context, order Order) (Parcel, error) {
	if order.Item == "unicorn" {
		return Parcel{}, reprise.NonRetryable(ErrSoldOut)
	}
	return Parcel{order.ID + "/1"}, nil
}

func bind(r *reprise.Registry, s shop) {
	reprise.Bind(r, Fulfil, fulfil)
	reprise.Bind(r, Charge, s.charge)
	reprise.Bind(r, Refund, reprise.NoOutput(s.refund))
	reprise.Bind(r, Pack, s.pack)
}
