package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// notPrefix says in which way neither of two histories begins with the other.
// Two reads of one execution may be compared in any order: reads that ran at the
// same time end in any order.
func notPrefix(a, b []history.Event) string {
	n := min(len(a), len(b))
	one, two := history.EncodeEvents(a[:n]), history.EncodeEvents(b[:n])
	if bytes.Equal(one, two) {
		return ""
	}
	for i := range n {
		if !bytes.Equal(history.EncodeEvents(a[i:i+1]), history.EncodeEvents(b[i:i+1])) {
			return fmt.Sprintf("event %d was %s and is now %s", i, history.Describe(a[i]), history.Describe(b[i]))
		}
	}
	return "histories differ"
}

// healTime bounds how long everything acknowledged may take to end once the
// faults have stopped.
const healTime = 4 * time.Minute

// maxProblems is after how many problems the checkers have seen enough: where
// nothing answers any more, each further question costs minutes.
const maxProblems = 3

// checkEnds waits for everything that was acknowledged and compares its output
// with what a cluster that never fails would have given (G1).
func (l *workload) checkEnds() {
	c := l.client(0, 0)
	for _, a := range l.acked {
		if len(l.wrong) >= maxProblems {
			return
		}
		got, err := c.awaitEnd(a.ref)
		if err != nil {
			l.complain("G1: acknowledged start of %s did not end within %v of peace: %v; status %v, parked %q, waits for %q",
				a.ref.ID, healTime, err, got.Status, got.Parked, got.Waiting)
			continue
		}
		var output uint64
		if got.Status == history.Completed {
			if err := json.Unmarshal(got.Output, &output); err != nil {
				l.complain("G1: output of %s: %v", a.ref.ID, err)
			}
		}
		if a.execution == "" {
			a.execution = got.Execution // whoever started it chose
		}
		if got.Execution != a.execution || got.Status != history.Completed || output != a.plan.expected() {
			l.complain("G1: %s ended %v with output %s, want Completed with %d (failure %+v)", a.ref.ID, got.Status, got.Output, a.plan.expected(), got.Failure)
		}
	}
}

// awaitEnd waits for the end of an instance, as long as anything may take in peace. If
// it does not come, it returns how the instance is.
func (c *client) awaitEnd(ref leader.InstanceRef) (got leader.Instance, err error) {
	err = errors.New("never asked")
	for deadline := time.Now().Add(healTime); err != nil && !errors.Is(err, leader.ErrNotFound) && time.Now().Before(deadline); {
		err, _ = c.ask(nil, func(ctx context.Context, node caller) (err error) {
			got, err = node.Wait(ctx, leader.WaitRequest{Instance: ref, Ended: true, Payloads: true})
			return err
		})
	}
	if err != nil {
		_, _ = c.ask(nil, func(ctx context.Context, node caller) (err error) {
			got, err = node.Status(ctx, leader.StatusRequest{Instance: ref})
			return err
		})
	}
	return got, err
}

// addStrays adds the detached orchestrations to those that must end: the letters
// that start them were acknowledged with their parents (G9).
func (l *workload) addStrays() {
	strays := map[history.InstanceID]plan{}
	for _, a := range l.acked {
		a.plan.strays(strays)
	}
	for id, p := range strays {
		l.acked = append(l.acked, &acked{ref: leader.InstanceRef{Hub: "sim", ID: id}, plan: p})
	}
}

// checkHistories reads every history and looks at what it says.
func (l *workload) checkHistories(book *ledger) {
	c := l.client(0, 1)
	for _, a := range l.acked {
		events, err := c.history(a.ref, a.execution)
		if err != nil {
			l.complain("G1: history of %s: %v", a.ref.ID, err)
		}
		if diff := notPrefix(a.seen, events); diff != "" || len(events) < len(a.seen) {
			l.complain("G3: history of %s is no continuation of an earlier read: %s", a.ref.ID, diff)
		}
		for _, problem := range checkHistory(a, events, book) {
			l.complain("%s: %s", a.ref.ID, problem)
		}
	}
}

// history reads the whole history of an execution. With an error comes what was read.
func (c *client) history(ref leader.InstanceRef, execution history.ExecutionID) (events []history.Event, err error) {
	for from := int64(0); ; {
		var page leader.HistoryPage
		err, _ := c.ask(nil, func(ctx context.Context, node caller) (err error) {
			page, err = node.History(ctx, leader.HistoryRequest{Instance: ref, Execution: execution, FromEpisode: from})
			return err
		})
		if err != nil {
			return events, err
		}
		events = append(events, page.Events...)
		if from = page.NextEpisode; from == 0 {
			return events, nil
		}
	}
}

// checkHistory returns what is wrong with the history of an orchestration that
// has completed.
func checkHistory(a *acked, events []history.Event, book *ledger) []string {
	var wrong []string
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	scheduled := map[int32]*history.TaskScheduled{}
	settled := map[int32]int{}
	children := map[int32]*history.SubOrchestrationInstanceCreated{}
	told := map[int32]int{}
	timers := map[int32]time.Time{}
	fired := map[int32]int{}
	last := history.NoID
	ends := 0
	var clock time.Time
	for i, e := range events {
		if e.ID != history.NoID {
			if e.ID <= last {
				complain("G3: event %d: ID %d follows ID %d", i, e.ID, last)
			}
			last = e.ID
		}
		switch b := e.Body.(type) {
		case history.OrchestratorStarted:
			if e.Time.Before(clock) {
				complain("G6: event %d: the partition's clock ran back from %v to %v", i, clock, e.Time)
			}
			clock = e.Time
		case *history.TaskScheduled:
			scheduled[e.ID] = b
		case *history.TaskCompleted:
			settled[b.TaskID]++
			if scheduled[b.TaskID] == nil {
				complain("G4: event %d: result of activity %d, which was never scheduled", i, b.TaskID)
			}
			key := fmt.Sprintf("%s/%s/%s/%d", a.ref.Hub, a.ref.ID, a.execution, b.TaskID)
			if !book.did(key) {
				complain("G4: event %d: activity %s is recorded as completed; the ledger knows no such effect", i, key)
			}
		case *history.TaskFailed:
			settled[b.TaskID]++
		case *history.SubOrchestrationInstanceCreated:
			children[e.ID] = b
		case *history.SubOrchestrationInstanceCompleted:
			told[b.TaskID]++
			if children[b.TaskID] == nil {
				complain("G9: event %d: result of child %d, which was never started", i, b.TaskID)
			}
		case *history.SubOrchestrationInstanceFailed:
			complain("G9: event %d: child %d failed: %+v", i, b.TaskID, b.Failure)
		case *history.TimerCreated:
			timers[e.ID] = b.FireAt
		case *history.TimerFired:
			fired[b.TimerID]++
			if due, ok := timers[b.TimerID]; !ok || clock.Before(due) {
				complain("G6: event %d: timer %d, due %v, fired at %v", i, b.TimerID, due, clock)
			}
		case *history.ExecutionCompleted:
			ends++
			if i != len(events)-1 {
				complain("G3: event %d ends the execution, but %d more follow", i, len(events)-1-i)
			}
		}
	}
	for id, n := range settled {
		if n > 1 {
			complain("G4: activity %d is recorded %d times", id, n)
		}
	}
	for id, n := range told {
		if n > 1 {
			complain("G9: the end of child %d is recorded %d times", id, n)
		}
	}
	for id, n := range fired {
		if n > 1 {
			complain("G6: timer %d fired %d times", id, n)
		}
	}
	if ends != 1 {
		complain("G3: the execution ended %d times", ends)
	}
	return wrong
}

// did reports whether an attempt of the activity went through.
func (l *ledger) did(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.effects[key] {
		if e.done {
			return true
		}
	}
	return false
}

// checkRegisters runs the linearizability checker (G2, G10).
func (l *workload) checkRegisters() {
	for id, r := range l.registers {
		if text := r.check(); text != "" {
			l.complain("G2/G10: operations on %s are not linearizable:\n%s", id, text)
		}
	}
}
