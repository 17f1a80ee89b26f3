package cluster

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// code is the user's code that this process binds.
type code interface {
	leader.Executor
	leader.EntityExecutor
	// Orchestrations, Activities and Entities return the names that are bound, sorted.
	Orchestrations() []string
	Activities() []string
	// Limits returns the limits of an activity.
	Limits(activity string) reprise.ActivityLimits
	// Versions returns the versions of orchestrations that are bound, as "name@version",
	// sorted.
	Versions() []string
	Entities() []string
	// Run runs an activity. It returns when the function has returned, or sooner
	// if ctx is done. beat is called with each heartbeat, from any goroutine.
	Run(ctx context.Context, task leader.ActivityTask, beat func(progress history.Payload)) leader.ActivityResult
}

// functionsHash returns a hash of the names that a process binds.
func functionsHash(c code) uint64 {
	h := xxhash.New()
	for _, names := range [][]string{c.Orchestrations(), c.Activities(), c.Versions(), c.Entities()} {
		names = slices.Sorted(slices.Values(names))
		var count [8]byte
		binary.BigEndian.PutUint64(count[:], uint64(len(names)))
		_, _ = h.Write(count[:]) // a hash does not fail
		for _, name := range names {
			_, _ = h.WriteString(name + "\x00") // likewise
		}
	}
	return h.Sum64()
}
