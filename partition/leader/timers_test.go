package leader

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Timers are armed at random, many of them due long since, and fired now and then. Each is
// fired once, in whatever order, though its row stays for a while; and memory holds not
// all of them.
func TestTimersFireOnce(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	db := openState(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	held := timers{limit: 4}
	fired := map[string]bool{}
	armed, most := 0, 0
	fire := func(until time.Time) {
		for {
			if err := held.fill(applied{db}, 7); err != nil {
				t.Fatal(err)
			}
			if len(held.heap) == 0 || held.heap[0].timer.Due.After(until) {
				return
			}
			next := held.next()
			if fired[next.key] {
				t.Fatalf("%s was fired twice", next.timer.Address.ID)
			}
			fired[next.key] = true // and its row stays
		}
	}
	for hour := range 40 {
		now := begin.Add(time.Duration(hour) * time.Hour)
		for range 30 {
			due := now.Add(time.Duration(rng.IntN(20*60)) * time.Minute)
			if rng.IntN(3) == 0 {
				due = now.Add(-time.Duration(rng.IntN(100*60)) * time.Minute)
			}
			armed++
			timer := partition.Timer{Due: due, Address: partition.NewAddress(7, "default", history.InstanceID(fmt.Sprint("i", armed))), Kind: partition.UserTimer}
			if err := db.Set(timer.Key(), []byte{1}, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			held.add(timer)
			most = max(most, len(held.heap))
			if rng.IntN(20) == 0 {
				fire(now)
			}
		}
	}
	fire(begin.AddDate(1, 0, 0))
	if len(fired) != armed {
		t.Errorf("%d of %d timers were fired", len(fired), armed)
	}
	if most == armed {
		t.Error("all timers were held in memory")
	}
}
