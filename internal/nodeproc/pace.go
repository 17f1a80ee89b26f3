package nodeproc

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A small heap is collected seldom, a large one as often as Go does by itself:
// between the two, the garbage may take spareBytes.
const (
	mostPercent  = 300
	leastPercent = 100
	spareBytes   = 80 << 20
)

// gcPercent is what debug.SetGCPercent is given where so many bytes are alive.
func gcPercent(live uint64) int {
	return int(min(mostPercent, max(leastPercent, 100*spareBytes/max(live, 1))))
}

// sentinel dies in each collection. It is large enough to be allocated by itself.
type sentinel struct{ _ [64]byte }

// pace sets the percentage anew after each collection, for as long as the process
// lives: millions of armed timers must not cost three times their size in garbage.
func pace() {
	debug.SetGCPercent(mostPercent)
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	set := mostPercent
	var arm func()
	arm = func() {
		runtime.AddCleanup(new(sentinel), func(struct{}) {
			metrics.Read(live)
			if percent := gcPercent(live[0].Value.Uint64()); percent != set {
				set = percent
				debug.SetGCPercent(percent)
			}
			arm()
		}, struct{}{})
	}
	arm()
}
