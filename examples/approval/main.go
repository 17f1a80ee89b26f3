package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

type (
	Expense struct {
		What      string
		Cents     int
		Approvers []Approver
	}
	Approver struct {
		Name     string
		Patience time.Duration // how long we wait for an answer
	}
	Letter struct{ To, Text string }
	// Decision is the data of the event, and the result.
	Decision struct {
		By string
		OK bool
	}
)

var (
	Approve = reprise.NewOrchestration[Expense, Decision]("approval.approve")
	Mail    = reprise.NewActivity[Letter, reprise.None]("approval.mail", reprise.Retry(5, time.Second))
	Decided = reprise.NewEvent[Decision]("decided")
)

func approve(o *reprise.Orchestration, e Expense) (Decision, error) {
	for _, a := range e.Approvers {
		text := fmt.Sprintf("%s asks for %d cents for %s", o.InstanceID(), e.Cents, e.What)
		if _, err := Mail.Call(o, Letter{a.Name, text}); err != nil {
			return Decision{}, err
		}
		decision, err := reprise.WithTimeout(o, a.Patience, Decided.Receive(o))
		if errors.Is(err, reprise.ErrTimeout) {
			o.Log().Info("no answer", "from", a.Name)
			continue
		}
		return decision, err
	}
	return Decision{By: "nobody", OK: false}, nil
}

type office struct{ world outside.World }

func (f office) mail(ctx context.Context, l Letter) error {
	_, err := f.world.Post(ctx, "/letters/"+l.To, l.Text)
	return err
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Approve, approve)
	reprise.Bind(r, Mail, reprise.NoOutput(office{world}.mail))
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		expense := Expense{"a lamp", 4200, []Approver{{"ada", time.Second}, {"bob", time.Hour}}}
		h, err := client.Run(ctx, c, Approve, expense, client.WithID("expense-7"))
		if err != nil {
			return err
		}
		time.Sleep(2 * time.Second) // Ada is on holiday
		if err := client.Raise(ctx, c, h.ID(), Decided, Decision{By: "bob", OK: true}); err != nil {
			return err
		}
		decision, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("approved: %v, by %s\n", decision.OK, decision.By)
		return nil
	})
}
