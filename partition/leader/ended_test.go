package leader

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A node keeps a result until it hears what became of it, and a survey tells
// that it has it. So every result is answered when a reign ends, wherever it
// was: a result that is never sent again would leave its activity pending for
// ever.
func TestResultsAreAnsweredWhenTheReignEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		// prepare brings the log into its state before the results come, end ends the
		// reign after they did.
		prepare, end func(*story)
	}{
		{
			name:    "the entry is refused",
			prepare: func(s *story) { s.refuse() },
			end:     func(*story) {},
		},
		{
			name:    "the entry is in flight",
			prepare: func(s *story) { s.log.hold(true) },
			end:     func(s *story) { s.stop() },
		},
		{
			name: "they wait for room in the log",
			prepare: func(s *story) {
				s.log.hold(true)
				for range manyInFlight + 1 {
					go func() {
						_, _ = s.leader.Start(context.Background(), StartRequest{Instance: ref("b"), Name: "echo", Execution: "x-b"})
					}()
					synctest.Wait()
				}
			},
			end: func(s *story) { s.stop() },
		},
		{
			name:    "the leader has ended",
			prepare: func(s *story) { s.stop() },
			end:     func(*story) {},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const tasks = 8
				s := newStory(t)
				s.limits.EntryBytes = 1
				defer s.close()
				s.lead()
				if _, err := s.leader.Start(context.Background(), StartRequest{Instance: ref("a"), Name: "fan:8", Execution: "x-a"}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				c.prepare(s)
				answers := make(chan error, 4*tasks) // room for wrong ones
				complete := func(id AttemptID) {
					s.leader.Complete(ActivityResult{Attempt: id, Result: []byte("1")}, func(err error) { answers <- err })
				}
				for _, task := range s.nodes.given {
					stale := task.Attempt
					stale.Fence.N += tasks
					complete(stale)
					complete(task.Attempt)
				}
				synctest.Wait()
				c.end(s)
				synctest.Wait()
				if len(s.nodes.given) != tasks || len(answers) != 2*tasks {
					t.Fatalf("%d of %d results were answered, want all", len(answers), 2*len(s.nodes.given))
				}
				for range 2 * tasks {
					if err := <-answers; !errors.Is(err, ErrNotLeading) {
						t.Errorf("a result was answered with %v, want ErrNotLeading", err)
					}
				}
			})
		})
	}
}

// refuse makes the log refuse whatever is proposed from now on.
func (s *story) refuse() {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	s.log.over = true
}
