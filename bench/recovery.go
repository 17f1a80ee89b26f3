package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// recovery is what W12 found.
type recovery struct {
	victim     string
	partitions int // that the victim led
	// silent is, for each of these partitions, the time from the kill to the next
	// end of an orchestration there, as the client sees it.
	silent  latencies
	acked   int // starts that were acknowledged
	lost    int // of these: without the right result
	unknown int // starts without an answer, which may or may not have happened
	late    int // starts that were not even sent, because too many were under way
	doubled int // activities recorded more than once, or not at all, in all histories
	all     latencies
	elapsed time.Duration
}

func (r recovery) String() string {
	return fmt.Sprintf("killed %s, which led %d partitions; no progress there for %v (median) to %v; %d acknowledged, %d lost, %d activities not recorded exactly once, %d starts without answer, %d not sent",
		r.victim, r.partitions, r.silent.percentile(0.5).Round(time.Millisecond), r.silent.max().Round(time.Millisecond),
		r.acked, r.lost, r.doubled, r.unknown, r.late)
}

// recover12 runs W12: an even load, in which the node that leads most is killed
// after a quarter of the time and started again five seconds later.
func recover12(ctx context.Context, c *testcluster.Cluster, api *client.Client, w workload, rate float64, d time.Duration, prefix string) (recovery, error) {
	var r recovery
	owners, err := slotOwners(ctx, api)
	if err != nil {
		return r, err
	}
	began := time.Now()
	load, stop := context.WithTimeout(ctx, d)
	defer stop()
	var all []done
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		all, r.late = w.openLoop(load, api, rate, 4096, 30*time.Second, prefix)
	}()
	if err := wait(ctx, d/4); err != nil {
		return r, err
	}
	victim, partitions := c.Busiest(ctx)
	if victim == nil {
		return r, fmt.Errorf("nobody leads")
	}
	killed := time.Now()
	if err := victim.Kill(); err != nil {
		return r, err
	}
	if err := wait(ctx, min(5*time.Second, d/4)); err != nil {
		return r, err
	}
	if err := victim.Start(ctx); err != nil {
		return r, err
	}
	<-ended
	r.victim, r.partitions, r.elapsed = victim.Name(), len(partitions), time.Since(began)
	for _, p := range partitions {
		next := time.Time{}
		for _, one := range all {
			if one.err == nil && owners[one.slot] == p && one.ended.After(killed) && (next.IsZero() || one.ended.Before(next)) {
				next = one.ended
			}
		}
		if next.IsZero() {
			return r, fmt.Errorf("partition %d never went on after the kill", p)
		}
		r.silent = append(r.silent, next.Sub(killed))
	}
	for _, one := range all {
		switch {
		case one.err == nil:
			r.acked++
			r.all = append(r.all, one.ended.Sub(one.began))
		case one.started:
			r.acked++
			r.lost++
		default:
			r.unknown++
		}
	}
	r.doubled, err = scan(ctx, api, w, all)
	return r, err
}

// scan reads the histories of all that ended and counts the activities that are
// not recorded exactly once.
func scan(ctx context.Context, api *client.Client, w workload, all []done) (int, error) {
	var (
		mu      sync.Mutex // guards doubled and failure
		doubled int
		failure error
		wg      sync.WaitGroup
	)
	for part := range slices.Chunk(all, len(all)/32+1) {
		wg.Go(func() {
			for _, one := range part {
				if one.err != nil {
					continue
				}
				n, err := recordedWrongly(ctx, api, one.id, w.steps)
				mu.Lock()
				doubled += n
				if err != nil {
					failure = err
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return doubled, failure
}

// recordedWrongly counts the activities of an instance that are not recorded
// exactly once.
func recordedWrongly(ctx context.Context, api *client.Client, id history.InstanceID, steps int) (int, error) {
	scheduled, completed := 0, map[int32]int{}
	for e, err := range api.History(ctx, id, "") {
		if err != nil {
			return 0, fmt.Errorf("read history of %s: %w", id, err)
		}
		switch b := e.Body.(type) {
		case *history.TaskScheduled:
			scheduled++
		case *history.TaskCompleted:
			completed[b.TaskID]++
		}
	}
	wrong := max(scheduled-steps, steps-scheduled)
	for _, times := range completed {
		wrong += times - 1
	}
	return wrong + max(0, steps-len(completed)), nil
}

// wait waits for a time that belongs to the measurement.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
