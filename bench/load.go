package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// workload is one orchestration that is run over and over.
type workload struct {
	name          string
	orchestration reprise.Orchestrator[value, value]
	input         value
	steps         int // activities that one orchestration runs, or events that it gets
	// during is what the client does between the start and the end; nil: nothing.
	during func(context.Context, *client.Client, history.InstanceID, value) error
	// once is what is done instead, where it is no orchestration.
	once func(context.Context, *client.Client) error
}

// run runs one orchestration to its end and checks its output.
func (w workload) run(ctx context.Context, c *client.Client, opts ...client.StartOption) error {
	if w.once != nil {
		return w.once(ctx, c)
	}
	if w.during == nil {
		out, err := client.Execute(ctx, c, w.orchestration, w.input, opts...)
		if err == nil && out.N != w.input.N {
			err = fmt.Errorf("%d, want %d", out.N, w.input.N)
		}
		if err != nil {
			return fmt.Errorf("result of %s: %w", w.name, err)
		}
		return nil
	}
	h, err := client.Run(ctx, c, w.orchestration, w.input, opts...)
	if err != nil {
		return fmt.Errorf("start %s: %w", w.name, err)
	}
	if err := w.during(ctx, c, h.ID(), w.input); err != nil {
		return fmt.Errorf("%s %s: %w", w.name, h.ID(), err)
	}
	out, err := h.Result(ctx)
	if err != nil {
		return fmt.Errorf("result of %s %s: %w", w.name, h.ID(), err)
	}
	if out.N != w.input.N {
		return fmt.Errorf("result of %s %s is %d, want %d", w.name, h.ID(), out.N, w.input.N)
	}
	return nil
}

// closedLoop keeps so many orchestrations going until ctx ends, waits for those
// under way, and returns how long each took. elapsed is from the beginning to
// the last end.
func (w workload) closedLoop(ctx context.Context, c *client.Client, concurrency int) (all latencies, elapsed time.Duration, err error) {
	var (
		mu     sync.Mutex // guards all and err
		wg     sync.WaitGroup
		failed atomic.Bool
	)
	start := time.Now()
	for range concurrency {
		wg.Go(func() {
			for ctx.Err() == nil && !failed.Load() {
				began := time.Now()
				// The last ones are waited for: half an orchestration is no result.
				failure := w.run(context.WithoutCancel(ctx), c)
				took := time.Since(began)
				mu.Lock()
				if failure != nil {
					failed.Store(true)
					err = errors.Join(err, failure)
				} else {
					all = append(all, took)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all, time.Since(start), err
}

// done is one orchestration of an open loop.
type done struct {
	id           history.InstanceID
	slot         history.Slot
	began, ended time.Time
	err          error // nil: it ended with the right result
	started      bool  // the start was acknowledged
}

// openLoop starts so many orchestrations a second until ctx ends, whatever
// becomes of them, and returns all of them once they have ended, or patience is
// over. At most limit are under way; more are not started, and counted as late.
func (w workload) openLoop(ctx context.Context, c *client.Client, rate float64, limit int, patience time.Duration, prefix string) (all []done, late int) {
	var (
		mu sync.Mutex // guards all
		wg sync.WaitGroup
	)
	room := make(chan struct{}, limit)
	ticker := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			wg.Wait()
			return all, late
		case <-ticker.C:
		}
		select {
		case room <- struct{}{}:
		default:
			late++
			continue
		}
		wg.Go(func() {
			defer func() { <-room }()
			one, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
			defer cancel()
			d := w.one(one, c, history.InstanceID(fmt.Sprintf("%s-%d", prefix, n)))
			mu.Lock()
			all = append(all, d)
			mu.Unlock()
		})
	}
}

func (w workload) one(ctx context.Context, c *client.Client, id history.InstanceID) done {
	d := done{id: id, slot: history.SlotOf(history.DefaultTaskHub, id), began: time.Now()}
	h, err := client.Run(ctx, c, w.orchestration, w.input, client.WithID(id))
	d.started = err == nil
	if err == nil {
		var out value
		if out, err = h.Result(ctx); err == nil && out.N != w.input.N {
			err = fmt.Errorf("result of %s is %d, want %d", id, out.N, w.input.N)
		}
	}
	d.ended, d.err = time.Now(), err
	return d
}
