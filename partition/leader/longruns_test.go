package leader

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// Behind an episode that does not yield, episodes that ended long ago are not
// kept in memory.
func TestLongEpisodeHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStory(t)
		defer s.close()
		s.short = true
		s.executor.slow["block"] = make(chan struct{})
		s.lead()
		started := func(id, name string) {
			_, err := s.leader.Start(context.Background(), StartRequest{Instance: ref(id), Name: name, Execution: "x"})
			if err != nil {
				t.Fatal(err)
			}
		}
		started("stuck", "block")
		time.Sleep(2 * slowAfter) // until it counts as slow
		for i := range 100 {
			started(fmt.Sprint("other-", i), "echo")
		}
		time.Sleep(2 * slowAfter) // until any of the others would count as slow, if it ran
		c := s.leader.core
		s.crash()
		if len(c.runs) > 0 || len(c.slow) != 1 {
			t.Errorf("%d episodes and %d slow ones are in memory; 1 runs", len(c.runs), len(c.slow))
		}
	})
}

// countingState counts the scans of the state.
type countingState struct {
	pebble.Reader
	scans *int
}

func (s countingState) NewIter(o *pebble.IterOptions) (*pebble.Iterator, error) {
	*s.scans++
	return s.Reader.NewIter(o)
}

type countingLog struct {
	*fakeLog
	scans int
}

func (l *countingLog) State() pebble.Reader { return countingState{l.fakeLog.State(), &l.scans} }

// When a name is bound, all that wait for it run, at a cost that grows with their
// number and not faster.
func TestBoundScans(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = 600
		log := &countingLog{fakeLog: newFakeLog(openState(t), 1)}
		executor, nodes := newFakeExecutor(), newFakeDispatcher()
		executor.bound["-echo"] = true
		l := New(Config{Partition: 7, Log: log, Executor: executor, Dispatcher: nodes})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- l.Run(ctx) }()
		for i := range waiting {
			if _, err := l.Start(ctx, StartRequest{Instance: ref(fmt.Sprint(i)), Name: "echo", Execution: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		before := log.scans
		executor.mu.Lock()
		delete(executor.bound, "-echo")
		executor.mu.Unlock()
		l.BindingsChanged()
		synctest.Wait()
		if turns := l.Stats().Turns; turns != waiting {
			t.Errorf("%d of %d ran", turns, waiting)
		}
		// One for the inbox of each, and the pages.
		if scans := log.scans - before; scans > waiting+20 {
			t.Errorf("%d scans of the state for %d instances", scans, waiting)
		}
		cancel()
		<-ended
		if err := log.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
