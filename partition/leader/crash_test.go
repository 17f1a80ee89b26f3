package leader

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// crashScenario are the starts that TestCrashAtEveryEntry brings to their ends.
var crashScenario = []struct{ id, name, want string }{
	{"a", "seq:3", "r,r,r"},
	{"b", "fan:4", "r,r,r,r"},
	{"c", "retry:3", "r"},
	{"d", "sleep:2s", "slept"},
	{"e", "race:1s", "timer won, then r"},
	{"f", "big", "r"},
	{"g", "echo", ""},
	{"h", "call:h1/seq:2,h2/call:h3", "r,r,in h3"},
	{"k", "operate:@acct@x/add:5,@acct@x/add:x", "5,failed: no number: x"},
	{"m", "critical:@acct@a/add:1,@acct@b/step,@acct@b/add:2", "1,2"},
	{"n", "relock:@acct@a,@acct@b", "twice"},
}

// TestCrashAtEveryEntry plays one scenario over and over; each time the leader
// is lost after one entry more, and the next one finishes what was acknowledged.
func TestCrashAtEveryEntry(t *testing.T) {
	for entries := 1; ; entries++ {
		crashed := false
		synctest.Test(t, func(t *testing.T) { crashed = crashAfter(t, entries) })
		if t.Failed() {
			t.Fatalf("with a crash after %d entries", entries)
		}
		if !crashed {
			t.Logf("crashed at each of %d entries", entries-1)
			if entries < 15 {
				t.Errorf("the scenario has only %d entries", entries)
			}
			return
		}
	}
}

func crashAfter(t *testing.T, entries int) (crashed bool) {
	s := newStory(t)
	s.short = true
	defer s.close()
	s.code("unbind", "echo")
	s.lead()
	s.log.left = entries
	acked := make(map[string]bool)
	done := make(chan string, len(crashScenario))
	for _, w := range crashScenario {
		req := StartRequest{Instance: ref(w.id), Name: w.name, Execution: history.ExecutionID("x-" + w.id)}
		if w.name == "big" {
			req.Input = make(history.Payload, 400_000)
		}
		go func() {
			if _, err := s.leader.Start(context.Background(), req); err == nil {
				done <- w.id
			}
		}()
	}
	failed := make(map[string]bool)
	rounds := func(n int) {
		for range n {
			synctest.Wait()
			s.nodes.mu.Lock()
			given := s.nodes.given
			s.nodes.given = nil
			s.nodes.mu.Unlock()
			for _, task := range given {
				if task.Attempt.Instance == "e" && task.Attempt.TaskID == 0 {
					continue // the timer is to win
				}
				r := ActivityResult{Attempt: task.Attempt, Result: history.Payload("r")}
				if task.Name == "flaky" && !failed[task.Key] {
					failed[task.Key] = true
					r.Result, r.Failure = nil, &history.Failure{Message: "once"}
				}
				s.leader.Complete(r, func(error) {})
			}
			time.Sleep(300 * time.Millisecond) // until retries and the entity's timer come due
		}
	}
	rounds(6)
	s.code("bind", "echo")
	s.leader.BindingsChanged()
	rounds(6)
	crashed = s.log.crashed()
	s.crash()
	for len(done) > 0 {
		acked[<-done] = true
	}
	violations, err := partition.Check(applied{s.db}, 7)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range violations {
		t.Error(v)
	}
	s.lead()
	rounds(16)
	for _, w := range crashScenario {
		in, err := s.leader.Status(t.Context(), StatusRequest{ref(w.id), true})
		if errors.Is(err, ErrNotFound) && !acked[w.id] {
			continue
		}
		if got := fmt.Sprintf("%s %s %v", in.Status, in.Output, err); got != "Completed "+w.want+" <nil>" {
			t.Errorf("%s: %s, waits for %q", w.id, got, in.Waiting)
		}
	}
	for _, id := range []string{"@acct@a", "@acct@b"} {
		e, err := s.leader.Entity(t.Context(), EntityStatusRequest{Entity: ref(id)})
		if err != nil || e.LockedBy != "" || e.Backlog > 0 || acked["m"] && !e.Exists {
			t.Errorf("entity %s in the end: %+v %v", id, e, err)
		}
	}
	if got := s.check(t); got != "fine\n" {
		t.Error(got)
	}
	return crashed
}
