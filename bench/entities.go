package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
)

// balance is the state of the entities of the workloads: about 100 bytes of JSON.
type balance struct {
	N   int    `json:"n"`
	Pad string `json:"pad"`
}

// The entities of the workloads.
const (
	counters = 100   // of W8
	accounts = 1_000 // of W9
	opening  = 1_000 // what an account has at first
)

var (
	counter   = reprise.NewEntity[balance]("bench.counter")
	increment = reprise.NewOperation[value, value](counter, "increment")
	// incrementer increments N counters, one after the other (W8).
	incrementer = reprise.NewOrchestration[value, value]("bench.incrementer")

	account = reprise.NewEntity[balance]("bench.account")
	change  = reprise.NewOperation[value, value](account, "change")
	// transfer moves 1 from one account to another in a critical section (W9).
	transfer = reprise.NewOrchestration[value, value]("bench.transfer")
)

// bindEntities binds the workloads of entities.
func bindEntities(r *reprise.Registry) {
	reprise.Bind(r, increment, func(_ *reprise.EntityContext, b *balance, in value) (value, error) {
		*b = balance{b.N + in.N, padding}
		return newValue(b.N), nil
	})
	reprise.Bind(r, incrementer, func(o *reprise.Orchestration, in value) (value, error) {
		for range in.N {
			if _, err := increment.Call(o, counter.Key(fmt.Sprint(o.Rand().IntN(counters))), newValue(1)); err != nil {
				return in, err
			}
		}
		return in, nil
	})
	reprise.Bind(r, change, func(e *reprise.EntityContext, b *balance, in value) (value, error) {
		if !e.Exists() {
			*b = balance{opening, padding}
		}
		b.N += in.N
		return newValue(b.N), nil
	})
	reprise.Bind(r, transfer, func(o *reprise.Orchestration, in value) (value, error) {
		first := o.Rand().IntN(accounts)
		second := (first + 1 + o.Rand().IntN(accounts-1)) % accounts
		from, to := account.Key(fmt.Sprint(first)), account.Key(fmt.Sprint(second))
		return in, reprise.Critical(o, reprise.Lock(from, to), func(s *reprise.Section) error {
			if _, err := reprise.Do(s, from, change, newValue(-in.N)); err != nil {
				return err
			}
			_, err := reprise.Do(s, to, change, newValue(in.N))
			return err
		})
	})
}

// signalOne signals the one counter of W10.
func signalOne(ctx context.Context, c *client.Client) error {
	return client.Signal(ctx, c, counter.Key("one"), increment, newValue(1))
}

// counted waits until the counters whose keys begin like this have counted that much, or
// more, and returns how much it is.
func counted(ctx context.Context, c *client.Client, key string, want int) (sum int, err error) {
	for sum < want && err == nil {
		sum = 0
		for e, failure := range client.Entities(ctx, c, counter, client.WithEntityPrefix(counter.Key(key).ID())) {
			if failure != nil {
				return 0, failure
			}
			sum += e.State.N
		}
		if sum < want {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	return sum, err
}
