package bench

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// nap is what a sleeper takes and gives.
type nap struct {
	Sleep  time.Duration `json:"sleep"`
	Timers int           `json:"timers"` // that are armed beside, due a day later
	Late   time.Duration `json:"late"`   // by the partition's clock
	Pad    string        `json:"pad"`
}

func sleep(o *reprise.Orchestration, in nap) (nap, error) {
	for range in.Timers {
		o.Timer(24 * time.Hour)
	}
	due := o.Now().Add(in.Sleep)
	o.Sleep(in.Sleep)
	in.Late = o.Now().Sub(due)
	return in, nil
}

// startAll starts so many orchestrations, concurrency at a time, and returns when the
// last start is acknowledged.
func startAll[T any](ctx context.Context, c *client.Client, d reprise.Orchestrator[T, T], in T, n, concurrency int, prefix string) ([]client.Handle[T], error) {
	all := make([]client.Handle[T], n)
	next := make(chan int)
	errs := make(chan error, concurrency)
	var wg sync.WaitGroup
	for range concurrency {
		wg.Go(func() {
			for i := range next {
				h, err := client.Run(ctx, c, d, in, client.WithID(history.InstanceID(fmt.Sprintf("%s-%d", prefix, i))))
				if err != nil {
					errs <- fmt.Errorf("start %s-%d: %w", prefix, i, err)
					return
				}
				all[i] = h
			}
		})
	}
	var failed error
	for i := 0; i < n && failed == nil; i++ {
		select {
		case next <- i:
		case failed = <-errs:
		}
	}
	close(next)
	wg.Wait()
	if failed == nil && len(errs) > 0 {
		failed = <-errs
	}
	return all, failed
}
