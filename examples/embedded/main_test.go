package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/reprise-run/reprise/examples/internal/exampletest"
	"github.com/reprise-run/reprise/examples/internal/outside"
	"github.com/reprise-run/reprise/internal/heavy"
)

// program in the environment makes the test binary the program itself.
const program = "ORDERS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(program) != "" {
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
			os.Exit(3)
		}()
		main()
		os.Exit(0)
	}
	os.Exit(heavy.Run(m))
}

// TestThreeCopies takes orders at three copies, kills one while orders are open, and
// wants every order that was accepted to end, and to be paid once.
func TestThreeCopies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes")
	}
	var cards outside.Service
	world := exampletest.Serve(t, &cards)
	copies := threeCopies(t, world.URL())

	// Small orders go through, a large one waits for somebody, and what is sold out is
	// paid back.
	var orders []Order
	for i := range 12 {
		order := Order{ID: fmt.Sprintf("order-%d", i), Customer: "ada", Item: "lamp", Cents: 100 + i}
		switch i % 3 {
		case 1:
			order.Cents += approvalFrom
		case 2:
			order.Item = "unicorn"
		}
		orders = append(orders, order)
	}
	paying := world.Hold("/charges")
	for i, order := range orders {
		if status := copies[i%3].post(t, "/orders", order, nil); status != http.StatusAccepted {
			t.Fatalf("order %s: status %d", order.ID, status)
		}
	}
	paying.By()
	copies[0].end(t, syscall.SIGKILL)
	paying.Release()

	// The others go on, and know all orders.
	var again view
	if status := copies[1].post(t, "/orders", orders[0], &again); status != http.StatusAccepted || again.ID != orders[0].ID {
		t.Errorf("the same order once more: status %d, %+v", status, again)
	}
	for i, order := range orders {
		alive := copies[1+i%2]
		if i%3 == 1 {
			if status := alive.post(t, "/orders/"+order.ID+"/approve", Approval{By: "bob", OK: true}, nil); status != http.StatusNoContent {
				t.Errorf("approve %s: status %d", order.ID, status)
			}
		}
		alive.ended(t, order)
	}

	// It comes back, knows what happened, and takes orders.
	copies[0].start(t)
	late := Order{ID: "late", Customer: "eve", Item: "chair", Cents: 1}
	if status := copies[0].post(t, "/orders", late, nil); status != http.StatusAccepted {
		t.Errorf("after the restart: status %d", status)
	}
	for _, order := range append(orders, late) {
		copies[0].ended(t, order)
	}
	want := map[string]int{}
	for _, order := range append(orders, late) {
		text, _ := json.Marshal(order)
		want["/charges "+string(text)] = 1
	}
	charges := map[string]int{}
	refunds := 0
	for _, effect := range cards.Effects() {
		if strings.HasPrefix(effect, "/refunds ") {
			refunds++
			continue
		}
		charges[effect]++
	}
	exampletest.Equal(t, charges, want, nil)
	exampletest.Equal(t, refunds, 4, nil)
	if status := copies[2].get(t, "/orders/nobody", nil); status != http.StatusNotFound {
		t.Errorf("an order that nobody placed: status %d", status)
	}
	for _, c := range copies {
		if code := c.end(t, syscall.SIGTERM); code != 0 {
			t.Errorf("%s: exit code %d after SIGTERM", c.name, code)
		}
	}
}

// ended waits until an order has ended, and checks how.
func (c *service) ended(t *testing.T, order Order) {
	t.Helper()
	var v view
	if status := c.get(t, "/orders/"+order.ID+"?wait=1m", &v); status != http.StatusOK {
		t.Errorf("%s tells status %d of %s", c.name, status, order.ID)
	}
	switch {
	case order.Item == "unicorn":
		if v.Status != "Failed" || !strings.Contains(v.Error, ErrSoldOut.Error()) {
			t.Errorf("%s: %+v, want sold out", order.ID, v)
		}
	case v.Done == nil || v.Done.Receipt.Cents != order.Cents || v.Done.Parcel.Number != order.ID+"/1":
		t.Errorf("%s: %+v", order.ID, v)
	case order.Cents >= approvalFrom && v.Done.ApprovedBy != "bob":
		t.Errorf("%s was approved by %q", order.ID, v.Done.ApprovedBy)
	}
}
