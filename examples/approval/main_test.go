package main

import (
	"testing"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
)

func TestMain(m *testing.M) { exampletest.Main(m, bind) }

// The leader dies after the first letter has left. The time to answer it passes on
// another node, the second approver is asked there, and nobody gets two letters.
func TestEscalatesAlthoughTheLeaderDies(t *testing.T) {
	var post outside.Service
	world := exampletest.Serve(t, &post)
	c := exampletest.Start(t, world)
	ctx := exampletest.Context(t)

	first, second := world.Hold("/letters/ada"), world.Hold("/letters/bob")
	expense := Expense{"a lamp", 4200, []Approver{{"ada", 100 * time.Millisecond}, {"bob", time.Hour}}}
	h, err := client.Run(ctx, c.Client, Approve, expense, client.WithID("expense-7"))
	if err != nil {
		t.Fatal(err)
	}
	first.By()
	c.KillLeader(h.ID())
	first.Release()

	second.By()
	// Bob is quick: nobody waits for his answer yet, and it is kept.
	if err := client.Raise(ctx, c.Client, h.ID(), Decided, Decision{By: "bob", OK: true}); err != nil {
		t.Fatal(err)
	}
	second.Release()

	decision, err := h.Result(ctx)
	exampletest.Equal(t, decision, Decision{By: "bob", OK: true}, err)
	exampletest.Equal(t, post.Effects(), []string{
		`/letters/ada "expense-7 asks for 4200 cents for a lamp"`,
		`/letters/bob "expense-7 asks for 4200 cents for a lamp"`,
	}, nil)
}

// An answer in time ends the wait; the leader that heard the question is gone.
func TestAnswerInTime(t *testing.T) {
	var post outside.Service
	c := exampletest.Start(t, exampletest.Serve(t, &post))
	ctx := exampletest.Context(t)
	h, err := client.Run(ctx, c.Client, Approve, Expense{"a chair", 900, []Approver{{"ada", time.Hour}, {"bob", time.Hour}}})
	if err != nil {
		t.Fatal(err)
	}
	c.Until(h.ID(), func(in client.Instance) bool { return len(in.Waiting) == 2 }) // the event, and the time
	c.KillLeader(h.ID())
	if err := client.Raise(ctx, c.Client, h.ID(), Decided, Decision{By: "ada"}); err != nil {
		t.Fatal(err)
	}
	decision, err := h.Result(ctx)
	exampletest.Equal(t, decision, Decision{By: "ada", OK: false}, err)
	if n := len(post.Effects()); n != 1 {
		t.Errorf("%d letters were sent, want 1", n)
	}
}
