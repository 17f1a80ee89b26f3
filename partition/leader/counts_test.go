package leader

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Rows that are written while those of an older version are counted are counted once.
func TestCountsWhileCounting(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	db := openState(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := newCore(Config{Partition: 7, Log: newFakeLog(db, 1), Logger: slog.New(slog.DiscardHandler), Limits: Limits{}.withDefaults()})
	rows := map[string]bool{}
	write := func() {
		key := partition.Timer{
			Due: time.Unix(rng.Int64N(1000), 0), Address: partition.NewAddress(7, "default", "a"), Kind: partition.UserTimer, ID: rng.Int32(),
		}.Key()
		if rng.IntN(2) == 0 {
			from, _ := partition.ParkedNameRange(7, partition.Parked{Why: partition.Unbound + partition.Why(rng.IntN(3)), Name: "o"})
			key = fmt.Append(from, rng.Uint64())
		}
		c.view.Set(key, []byte{1, 0})
		rows[string(key)] = true
	}
	for range 5 * page {
		write()
	}
	c.view.counts = counts{left: partition.CountedRanges(7)}
	for len(c.view.counts.left) > 0 {
		if c.view.counts.recorded() != nil {
			t.Fatal("half of a count is recorded")
		}
		for range 20 {
			write()
		}
		deleted := 0
		for key := range rows {
			c.view.Delete([]byte(key))
			delete(rows, key)
			if deleted++; deleted == 15 {
				break
			}
		}
		if err := c.pageCounts(); err != nil {
			t.Fatal(err)
		}
	}
	var want partition.Counts
	for key := range rows {
		want.Add([]byte(key), 1)
	}
	if got := c.view.counts.recorded(); got == nil || *got != want || want.Timers == 0 {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

// A leader counts what an older version left, and then the record has it.
func TestCountsOfAnOlderVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const scheduled = 2*page + 10
		s := newStory(t)
		defer s.close()
		start := func(id string) {
			req := StartRequest{Instance: ref(id), Name: "echo", Execution: history.ExecutionID("x-" + id), ScheduledStart: time.Now().Add(time.Hour)}
			if _, err := s.leader.Start(context.Background(), req); err != nil {
				t.Fatal(err)
			}
		}
		s.lead()
		for i := range scheduled {
			start(fmt.Sprint("a", i))
		}
		s.crash()
		if err := s.db.Set(partition.MetaKey(7), partition.Meta{Clock: time.Now()}.Encode(), pebble.NoSync); err != nil {
			t.Fatal(err)
		}
		for reign := range int64(2) {
			s.lead()
			synctest.Wait()
			if got := s.leader.Stats(); !got.Counted || got.Counts.Timers != scheduled+reign {
				t.Errorf("reign %d: counted %t, %d timers, want %d", reign, got.Counted, got.Counts.Timers, scheduled+reign)
			}
			start(fmt.Sprint("b", reign))
			if bad, err := partition.Check(applied{s.db}, 7); err != nil || len(bad) > 0 {
				t.Errorf("reign %d: %v %v", reign, bad, err)
			}
			s.crash()
		}
	})
}
