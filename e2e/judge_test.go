package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// verdict is what the judge found.
type verdict struct {
	acked, unknown, happened int // happened: of the unknown ones
	wrong                    []string
}

// judge looks at every start: an acknowledged one must be there and be right; one
// without an answer may be missing, but not be wrong.
func judge(ctx context.Context, t *testing.T, api *client.Client, l *ledger, starts []start) verdict {
	t.Helper()
	var (
		v  verdict
		mu sync.Mutex // guards v
		wg sync.WaitGroup
	)
	queue := make(chan start)
	for range 16 {
		wg.Go(func() {
			for s := range queue {
				err := judgeOne(ctx, api, l, s.order)
				missing := errors.Is(err, client.ErrNotFound)
				mu.Lock()
				switch {
				case s.acked:
					v.acked++
				case missing:
					v.unknown++
					err = nil
				default:
					v.unknown++
					v.happened++
				}
				if err != nil {
					v.wrong = append(v.wrong, fmt.Sprintf("%s: %v", s.order.ID, err))
				}
				mu.Unlock()
			}
		})
	}
	for _, s := range starts {
		queue <- s
	}
	close(queue)
	wg.Wait()
	_, _, _, wrong := l.summary()
	v.wrong = append(v.wrong, wrong...)
	return v
}

// judgeOne waits for the end of an order and checks its result, its history and
// the ledger against each other.
func judgeOne(ctx context.Context, api *client.Client, l *ledger, in order) error {
	id := history.InstanceID(in.ID)
	out, err := client.Attach(api, fill, id).Result(ctx)
	if err != nil {
		if s, statusErr := api.Status(context.WithoutCancel(ctx), id); statusErr == nil && !s.Status.Ended() {
			return fmt.Errorf("%w; it is %s, parked %q, waiting for %q", err, s.Status, s.Parked, s.Waiting)
		}
		return err
	}
	want := expected(in)
	if len(out) != len(want) {
		return fmt.Errorf("the result has %d steps, want %d", len(out), len(want))
	}
	for i, step := range out {
		tag := fmt.Sprintf("%s/%d", in.ID, i)
		if step.N != want[i] || step.Tag != tag {
			return fmt.Errorf("step %d gave %+v, want %d for %s", i, step, want[i], tag)
		}
		if !l.issued(step.Receipt, tag) {
			return fmt.Errorf("step %d has receipt %d, which the ledger never gave for it", i, step.Receipt)
		}
	}
	return checkHistory(api.History(ctx, id, ""), out)
}

// checkHistory checks that a history records every step of the result exactly
// once, and nothing besides.
func checkHistory(events iter.Seq2[history.Event, error], out []stepOutput) error {
	scheduled := map[int32]bool{}
	recorded := map[int32]bool{}
	receipts := map[int64]bool{}
	began, ended := 0, 0
	for e, err := range events {
		if err != nil {
			return fmt.Errorf("read the history: %w", err)
		}
		if ended > 0 {
			return fmt.Errorf("event %T comes after the end", e.Body)
		}
		switch b := e.Body.(type) {
		case *history.ExecutionStarted:
			began++
		case *history.TaskScheduled:
			if scheduled[e.ID] {
				return fmt.Errorf("task %d is scheduled twice", e.ID)
			}
			scheduled[e.ID] = true
		case *history.TaskCompleted:
			var step stepOutput
			if err := json.Unmarshal(b.Result, &step); err != nil {
				return fmt.Errorf("result of task %d: %w", b.TaskID, err)
			}
			if recorded[b.TaskID] || !scheduled[b.TaskID] {
				return fmt.Errorf("result of task %d is recorded twice, or was never asked for", b.TaskID)
			}
			recorded[b.TaskID] = true
			receipts[step.Receipt] = true
		case *history.TaskFailed:
			return fmt.Errorf("task %d failed: %s", b.TaskID, b.Failure.Message)
		case *history.ExecutionCompleted:
			ended++
		}
	}
	if began != 1 || ended != 1 || len(scheduled) != len(out) || len(recorded) != len(out) {
		return fmt.Errorf("the history has %d starts, %d ends, %d tasks scheduled and %d completed, want 1, 1, %d, %d", began, ended, len(scheduled), len(recorded), len(out), len(out))
	}
	for i, step := range out {
		if !receipts[step.Receipt] {
			return fmt.Errorf("receipt %d of step %d is in the result and not in the history", step.Receipt, i)
		}
	}
	return nil
}

// TestJudgeNoticesWrongHistories plants what the judge must find.
func TestJudgeNoticesWrongHistories(t *testing.T) {
	out := []stepOutput{{"o/0", 2, 7}}
	result := history.Payload(`{"tag":"o/0","n":2,"receipt":7}`)
	event := func(id int32, b history.Body) history.Event { return history.Event{ID: id, Body: b} }
	started := event(history.NoID, &history.ExecutionStarted{})
	scheduled := event(0, &history.TaskScheduled{})
	completed := event(history.NoID, &history.TaskCompleted{TaskID: 0, Result: result})
	ended := event(1, &history.ExecutionCompleted{})
	for _, c := range []struct {
		name   string
		events []history.Event
		right  bool
	}{
		{"as it should be", []history.Event{started, scheduled, completed, ended}, true},
		{"recorded twice", []history.Event{started, scheduled, completed, completed, ended}, false},
		{"never asked for", []history.Event{started, completed, scheduled, ended}, false},
		{"scheduled twice", []history.Event{started, scheduled, scheduled, completed, ended}, false},
		{"not recorded", []history.Event{started, scheduled, ended}, false},
		{"started twice", []history.Event{started, started, scheduled, completed, ended}, false},
		{"no end", []history.Event{started, scheduled, completed}, false},
		{"more after the end", []history.Event{started, scheduled, completed, ended, completed}, false},
		{"another receipt", []history.Event{started, scheduled, event(history.NoID, &history.TaskCompleted{Result: history.Payload(`{"receipt":8}`)}), ended}, false},
		{"a failure", []history.Event{started, scheduled, event(history.NoID, &history.TaskFailed{Failure: &history.Failure{}}), ended}, false},
	} {
		err := checkHistory(func(yield func(history.Event, error) bool) {
			for _, e := range c.events {
				if !yield(e, nil) {
					return
				}
			}
		}, out)
		if (err == nil) != c.right {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
