package reprise_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
)

// Contracts: what clients, orchestrators and whoever runs them have in common.
type (
	Order   struct{ Items []string }
	Receipt struct{ Paid int }
)

var (
	Reserve = reprise.NewActivity[string, int]("stock.reserve", reprise.Retry(5, time.Second))
	Charge  = reprise.NewActivity[int, Receipt]("card.charge", reprise.Timeout(time.Minute))
	Fulfil  = reprise.NewOrchestration[Order, Receipt]("order.fulfil")

	ErrSoldOut = reprise.NewError("stock.sold_out", "sold out")
)

func fulfil(o *reprise.Orchestration, in Order) (Receipt, error) {
	var prices []reprise.Future[int]
	for _, item := range in.Items {
		prices = append(prices, Reserve.Start(o, item))
	}
	total := 0
	for i, r := range reprise.AsCompleted(o, prices...) {
		if r.Err != nil {
			return Receipt{}, fmt.Errorf("%s: %w", in.Items[i], r.Err) // leaving the loop cancels the rest
		}
		total += r.Value
	}
	o.Log().Info("charging", "total", total)
	return Charge.Call(o, total)
}

func Example() {
	registry := reprise.NewRegistry()
	reprise.Bind(registry, Fulfil, fulfil)
	reprise.Bind(registry, Reserve, func(_ context.Context, item string) (int, error) {
		if item == "moon" {
			return 0, reprise.NonRetryable(ErrSoldOut)
		}
		return len(item), nil
	})
	reprise.Bind(registry, Charge, func(ctx context.Context, total int) (Receipt, error) {
		_ = reprise.Attempt(ctx).Key // hand it to the card company: the same on every attempt
		return Receipt{Paid: total}, nil
	})
	fmt.Println(registry.Err())

	fmt.Println(try(registry, `{"Items": ["lamp", "chair"]}`))
	fmt.Println(try(registry, `{"Items": ["lamp", "moon"]}`))
	// Output:
	// <nil>
	// {"Paid":9} sold out: false
	// moon: sold out sold out: true
}

// try runs the orchestration as a cluster would.
func try(registry *reprise.Registry, input string) string {
	end := (&run{registry: registry}).start(exampleFailure{}, Fulfil.Name(), input)
	err := reprise.ErrorOf(reprise.JSON, end.Failure)
	what := string(end.Result)
	if err != nil {
		what = err.Error()
	}
	return fmt.Sprint(what, " sold out: ", errors.Is(err, ErrSoldOut))
}

func ExampleWithTimeout() {
	registry := reprise.NewRegistry()
	patient := reprise.NewOrchestration[reprise.None, string]("patient")
	slow := reprise.NewActivity[reprise.None, string]("slow")
	reprise.Bind(registry, slow, func(context.Context, reprise.None) (string, error) { return "", nil })
	reprise.Bind(registry, patient, func(o *reprise.Orchestration, _ reprise.None) (string, error) {
		_, err := reprise.WithTimeout(o, 72*time.Hour, slow.Start(o, reprise.None{}))
		if errors.Is(err, reprise.ErrTimeout) {
			return "gave up after " + o.Now().Sub(began).String(), nil
		}
		return "in time", err
	})
	r := run{registry: registry, hold: map[string]bool{"slow": true}}
	fmt.Println(string(r.start(exampleFailure{}, patient.Name(), "").Result))
	// Output: "gave up after 72h0m0s"
}
