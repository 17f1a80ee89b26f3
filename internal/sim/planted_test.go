package sim

import (
	"flag"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

var (
	planted      = flag.Bool("sim.planted", false, "plant bugs and see that the simulation catches them")
	plantedSeeds = flag.Int("sim.planted.seeds", 40, "how many lives a planted bug may survive before the simulation has failed")
)

// TestPlantedBugs proves the proof: each row takes one safety away, and the same
// general simulation, with no test written for the purpose, must break a
// promise.
func TestPlantedBugs(t *testing.T) {
	if !*planted {
		t.Skip("takes minutes; make planted, or -sim.planted")
	}
	for _, c := range []struct {
		name string
		bugs Bugs
	}{
		{"ack before commit", Bugs{Leader: leader.Faults{AckBeforeCommit: true}}},
		{"no epoch check", Bugs{Log: raftlog.Faults{SkipEpochCheck: true}}},
		{"one proposal refused in the middle", Bugs{Log: raftlog.Faults{SkipSequenceCheck: true}}},
		{"no dedup", Bugs{Leader: leader.Faults{NoDedup: true}}},
		{"skipped fsync", Bugs{Log: raftlog.Faults{SkipFsync: true}}},
		{"applied index outside the batch", Bugs{Log: raftlog.Faults{AppliedOutsideBatch: true}}},
		{"a blank replica that votes", Bugs{Log: raftlog.Faults{KeepIdentity: true}}},
		{"a lane's number raised before its letters are stored", Bugs{Leader: leader.Faults{LaneCursorEarly: true}}},
		{"letters deleted when they are sent", Bugs{Leader: leader.Faults{TrimEarly: true}}},
		{"locks kept on terminate", Bugs{Leader: leader.Faults{LockKept: true}}},
		{"an entity's reply is lost", Bugs{Leader: leader.Faults{ReplyLost: true}}},
		{"no read check", Bugs{Log: raftlog.Faults{SkipReadCheck: true}}},
		{"an install that wipes acknowledged entries", Bugs{Log: raftlog.Faults{WipeOnInstall: true}}},
		{"timers by the local clock", Bugs{Leader: leader.Faults{LocalTimers: true}}},
		{"a read from memory", Bugs{Leader: leader.Faults{ReadFromMemory: true}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for i := range *plantedSeeds {
				o := options()
				o.Seed, o.Life, o.Bugs = uint64(i+1), 5*time.Minute, c.bugs
				var r Report
				synctest.Test(t, func(*testing.T) { r = Run(o) })
				if len(r.Problems) > 0 {
					t.Logf("caught with seed %d: %s", o.Seed, r.Problems[0])
					return
				}
			}
			t.Errorf("the simulation did not notice the bug in %d lives", *plantedSeeds)
		})
	}
}
