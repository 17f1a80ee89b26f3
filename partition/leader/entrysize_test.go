package leader

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Results that come while the nodes are still asked what they run wait for their
// answers, and are recorded then by as many entries as they need, whatever they bring.
func TestEarlyResultsFitIntoEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const instances = 40
		s := newStory(t)
		defer s.close()
		s.short = true
		s.limits.EntryBytes, s.maxEntry = 4<<10, 16<<10
		s.lead()
		for i := range instances {
			if _, err := s.leader.Start(t.Context(), StartRequest{Instance: ref(fmt.Sprint("i", i)), Name: "with:attempts-2", Execution: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		s.take() // nobody needs to read it
		s.crash()
		s.nodes.hold = make(chan struct{})
		for _, task := range s.nodes.given {
			s.nodes.survey = append(s.nodes.survey, task.Attempt)
		}
		s.lead()
		recorded := 0
		for _, task := range s.nodes.given {
			s.leader.Complete(ActivityResult{
				Attempt: task.Attempt, Progress: make(history.Payload, 1000), Failure: &history.Failure{Message: "no"},
			}, func(err error) {
				if err != nil {
					t.Errorf("a result: %v", err)
				}
				recorded++
			})
		}
		synctest.Wait()
		close(s.nodes.hold)
		synctest.Wait()
		if told := s.take(); recorded != instances || strings.Contains(told, "ended") {
			t.Errorf("%d of %d results were recorded\n%s", recorded, instances, told)
		}
	})
}

// What waits for a turn is stored before it is more than an entry takes, be it results
// or failures.
func TestFailuresThatWaitFitIntoEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const failures = 60
		s := newStory(t)
		defer s.close()
		s.short = true
		s.maxEntry = 2 * heldBytes
		s.lead()
		if _, err := s.leader.Start(t.Context(), StartRequest{Instance: ref("a"), Name: fmt.Sprint("fan:", failures), Execution: "x"}); err != nil {
			t.Fatal(err)
		}
		s.take() // nobody needs to read it
		s.executor.slow["fan"] = make(chan struct{})
		recorded := 0
		for _, task := range s.nodes.given {
			s.leader.Complete(ActivityResult{Attempt: task.Attempt, Failure: &history.Failure{Message: "no", Data: make(history.Payload, 200<<10)}}, func(err error) {
				if err != nil {
					t.Errorf("a result: %v", err)
				}
				recorded++
			})
		}
		time.Sleep(time.Second) // until what waits is stored
		if told := s.take(); recorded != failures || strings.Contains(told, "ended") {
			t.Errorf("%d of %d failures were recorded\n%s", recorded, failures, told)
		}
	})
}

// Many time limits that pass at the same moment, as after a time without a leader, are
// acted on by as many entries as they need.
func TestLimitsThatPassTogetherFitIntoEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const instances = 100
		s := newStory(t)
		defer s.close()
		s.short = true
		s.limits.EntryBytes, s.maxEntry = 4<<10, 16<<10
		s.lead()
		for i := range instances {
			if _, err := s.leader.Start(t.Context(), StartRequest{Instance: ref(fmt.Sprint("i", i)), Name: "with:heartbeat-1h+attempts-2", Execution: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		for _, task := range s.nodes.given {
			s.leader.Complete(ActivityResult{Attempt: task.Attempt, Pending: true}, func(error) {})
		}
		s.take() // nobody needs to read it
		s.crash()
		s.skew.Add(int64(2 * time.Hour))
		s.nodes.hold = make(chan struct{})
		close(s.nodes.hold)
		s.lead()
		time.Sleep(time.Minute) // until the second attempts begin
		if told := s.take(); strings.Count(told, "number=2") != instances || strings.Contains(told, "ended") {
			t.Errorf("%d of %d activities are attempted again\n%s", strings.Count(told, "number=2"), instances, told)
		}
	})
}

// Mail of many instances whose turns do not come soon is stored by as many entries as it
// needs.
func TestMailOfManyFitsIntoEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const instances = 40
		s := newStory(t)
		defer s.close()
		s.short = true
		s.limits.EntryBytes, s.maxEntry = 4<<10, 16<<10
		s.lead()
		for i := range instances {
			if _, err := s.leader.Start(t.Context(), StartRequest{Instance: ref(fmt.Sprint("i", i)), Name: "seq:1", Execution: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		s.take() // nobody needs to read it
		s.executor.slow["seq"] = make(chan struct{})
		recorded := 0
		for _, task := range s.nodes.given {
			s.leader.Complete(ActivityResult{Attempt: task.Attempt, Result: make(history.Payload, 1000)}, func(err error) {
				if err != nil {
					t.Errorf("a result: %v", err)
				}
				recorded++
			})
		}
		time.Sleep(time.Second) // until what waits is stored
		if told := s.take(); recorded != instances || strings.Contains(told, "ended") {
			t.Errorf("%d of %d results were recorded\n%s", recorded, instances, told)
		}
	})
}
