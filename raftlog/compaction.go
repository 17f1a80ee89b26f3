package raftlog

import "github.com/cockroachdb/pebble/v2"

// atOnce lets a store compact whenever it wants to. Pebble's own scheduler asks ten times
// a second whether more may run, which is nothing on a real machine and most of what an
// idle node does where time is simulated.
type atOnce struct{}

var (
	_ pebble.CompactionScheduler   = atOnce{}
	_ pebble.CompactionGrantHandle = atOnce{}
)

// Register implements [pebble.CompactionScheduler].
func (atOnce) Register(int, pebble.DBForCompaction) {}

// Unregister implements [pebble.CompactionScheduler].
func (atOnce) Unregister() {}

// TrySchedule implements [pebble.CompactionScheduler]. Since it never refuses, nothing
// waits for a grant.
func (atOnce) TrySchedule() (bool, pebble.CompactionGrantHandle) { return true, atOnce{} }

// UpdateGetAllowedWithoutPermission implements [pebble.CompactionScheduler].
func (atOnce) UpdateGetAllowedWithoutPermission() {}

// Started implements [pebble.CompactionGrantHandle].
func (atOnce) Started() {}

// MeasureCPU implements [pebble.CompactionGrantHandle].
func (atOnce) MeasureCPU(pebble.CompactionGoroutineKind) {}

// CumulativeStats implements [pebble.CompactionGrantHandle].
func (atOnce) CumulativeStats(pebble.CompactionGrantHandleStats) {}

// Done implements [pebble.CompactionGrantHandle].
func (atOnce) Done() {}
