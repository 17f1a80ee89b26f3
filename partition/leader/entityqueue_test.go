package leader

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// A turn of an entity costs what is new, however much waits: while a section goes on
// over an entity with thousands of waiting operations, its calls write the same few
// bytes as without them, and the waiting mail is neither read nor moved.
func TestHotEntity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const waiting = 5000
		s := newStory(t)
		s.short = true
		s.entities.note = nil
		defer s.close()
		for _, id := range []string{"holder", "other"} {
			s.far[history.SlotOf(history.DefaultTaskHub, history.InstanceID(id))] = true
		}
		s.limits.InFlight = 1
		s.lead()
		lane := uint64(0)
		deliver := func(to string, bodies ...history.Body) {
			run := LaneRun{From: 8, To: 7, First: lane + 1}
			for _, body := range bodies {
				l := partition.Letter{Hub: history.DefaultTaskHub, From: "holder", FromExecution: "x", To: history.InstanceID(to), Event: history.Event{ID: history.NoID, Body: body}}
				run.Letters = append(run.Letters, l.Encode())
			}
			lane += uint64(len(bodies))
			answered := make(chan LaneAnswer, 1)
			s.leader.Deliver(run, func(a LaneAnswer, err error) {
				if err != nil {
					t.Error(err)
				}
				answered <- a
			})
			if a := <-answered; a.Received != lane {
				t.Fatalf("letters up to %d are recorded, want %d", a.Received, lane)
			}
			synctest.Wait()
		}
		holder := &history.ParentInstance{Instance: "holder", Execution: "x", TaskID: 1}
		call := func() history.Body {
			return &history.EntityOperationCalled{Operation: "add:1", Caller: &history.ParentInstance{Instance: "holder", Execution: "x", TaskID: 2}, Section: 1}
		}
		// cost is what one call in a section writes, in entries and bytes.
		cost := func(entity string) (uint64, uint64) {
			before := s.leader.Stats()
			deliver(entity, call())
			now := s.leader.Stats()
			return now.Entries - before.Entries, now.EntryBytes - before.EntryBytes
		}
		for _, entity := range []string{"@acct@calm", "@acct@hot_"} {
			deliver(entity, &history.EntityLockRequested{Holder: holder})
			deliver(entity, call())
		}
		for i := range waiting / 100 {
			var all []history.Body
			for j := range 50 {
				all = append(all, &history.EntityOperationSignaled{Operation: "add:1"},
					&history.EntityLockRequested{Holder: &history.ParentInstance{Instance: "other", Execution: history.ExecutionID(fmt.Sprint(i, " ", j))}})
			}
			deliver("@acct@hot_", all...)
		}
		hot := s.leader.core.lives[ref("@acct@hot_")]
		if hot.entity.waiting != waiting || hot.rec.Stored != waiting {
			t.Fatalf("%d wait, %d of them stored; want %d", hot.entity.waiting, hot.rec.Stored, waiting)
		}
		first := hot.entity.queue[0]
		for range 3 {
			calmEntries, calmBytes := cost("@acct@calm")
			hotEntries, hotBytes := cost("@acct@hot_")
			if hotEntries != calmEntries || hotBytes > calmBytes+32 { // longer numbers
				t.Errorf("a call of the hot entity writes %d entries of %d bytes, of the calm one %d of %d", hotEntries, hotBytes, calmEntries, calmBytes)
			}
		}
		// All but the queue stands still: it is the same mail in the same place.
		if s.leader.core.lives[ref("@acct@hot_")] != hot || hot.entity.waiting != waiting || hot.entity.queue[0] != first {
			t.Error("the waiting mail was read or moved")
		}
		allocs := testing.AllocsPerRun(10, func() {
			if hot.entity.ready(hot.rec) || hot.entity.busy(hot.rec) || len(hot.entity.portion(hot.rec, operationsOfRun)) > 0 {
				t.Error("something is ready")
			}
		})
		if allocs > 0 {
			t.Errorf("looking for work costs %v allocations", allocs)
		}
		// In the end all of it runs. Lock requests are withdrawn one by one, in any order.
		deliver("@acct@hot_", &history.EntityUnlockSent{TaskID: 1, Holder: holder})
		for i := range waiting / 100 {
			var all []history.Body
			for j := range 50 {
				all = append(all, &history.EntityUnlockSent{Holder: &history.ParentInstance{Instance: "other", Execution: history.ExecutionID(fmt.Sprint(waiting/100-1-i, " ", j))}})
			}
			deliver("@acct@hot_", all...)
		}
		e, err := s.leader.Entity(t.Context(), EntityStatusRequest{ref("@acct@hot_"), true})
		if want := fmt.Sprint(waiting/2 + 4); err != nil || string(e.State) != want || e.Backlog != 0 || e.LockedBy != "" {
			t.Errorf("in the end: %+v %v, want state %s", e, err, want)
		}
		if got := s.check(t); got != "fine\n" {
			t.Error(got)
		}
	})
}

// Entities that send two operations for each that they get never have many more than
// there is room for: an operation that would send more fails. Others are not touched.
func TestDoublingEntities(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const flood = 50
		s := newStory(t)
		s.short = true
		s.entities.note = nil
		defer s.close()
		s.limits.Flood, s.limits.Letters, s.limits.InFlight, s.limits.EntryBytes = flood, flood, 1, 4000
		s.lead()
		s.log.hold(true)
		signal := func(id, operation string) {
			if err := s.leader.Signal(t.Context(), SignalRequest{Entity: ref(id), Operation: operation}); err != nil {
				t.Error(err)
			}
		}
		poison := []string{"@alone@a", "@pair@a", "@pair@b"}
		go signal("@alone@a", "double:@alone@a/@alone@a")
		go signal("@pair@a", "double:@pair@a/@pair@b")
		const healthy = 20
		most := map[string]int64{}
		flooded := func() bool {
			s.entities.mu.Lock()
			defer s.entities.mu.Unlock()
			return !slices.ContainsFunc(poison, func(id string) bool { return s.entities.refused[history.InstanceID(id)] == 0 })
		}
		for i := 0; i < 400 || !flooded() && i < 10_000; i++ {
			synctest.Wait()
			if i%20 == 0 && i/20 < healthy {
				go signal("@counter@c", "add:1")
				synctest.Wait()
			}
			for _, id := range poison {
				if l := s.leader.core.lives[ref(id)]; l != nil {
					most[id] = max(most[id], backlogOf(l).operations)
				}
			}
			s.log.commit(1)
		}
		for _, id := range poison {
			// One run of operations, of which each sends two, may come on top of it, and
			// in a pair as much as the other one has.
			if n := most[id]; n > 3*flood+2*operationsOfRun {
				t.Errorf("%d operations of %s waited; there is room for %d", n, id, flood)
			}
		}
		if !flooded() {
			t.Errorf("operations that signal these were refused: %v; the run says nothing of the others", s.entities.refused)
		}
		e, err := s.leader.Entity(t.Context(), EntityStatusRequest{ref("@counter@c"), true})
		if err != nil || string(e.State) != fmt.Sprint(healthy) {
			t.Errorf("beside them: %+v %v, want state %d", e, err, healthy)
		}
		s.crash()
		if got := s.check(t); got != "fine\n" {
			t.Error(got)
		}
	})
}
