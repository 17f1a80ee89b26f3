package nodeproc

import (
	"fmt"
	"os"
	"strconv"
)

// monitorSlackNanos is how much longer than it asked for the monitor may sleep.
const monitorSlackNanos = 1_000_000

// calmMonitor lets the monitor thread of the Go runtime (sysmon) sleep longer. It
// naps for 20 µs at a time whenever the process has just become busy, and a node
// becomes busy hundreds of times a second: the naps were an eighth of a node's
// processor time under load and a quarter at idle (bench/README.md). The kernel may
// round a nap up by a thread's timer slack. What the monitor is there for (to take
// processors away from long system calls, to preempt loops after 10 ms) does not
// suffer from a millisecond, because there are more processors than cores.
//
// The monitor is the first thread that the runtime starts. Should that change, the
// timers of another thread are late by a millisecond, no more. Linux lets only
// processes with CAP_SYS_NICE do this; for others everything stays as it was.
func calmMonitor() {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // no /proc
	}
	first := 0
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err == nil && id > os.Getpid() && (first == 0 || id < first) {
			first = id
		}
	}
	if first > 0 {
		// An error is the missing capability.
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", first), strconv.AppendInt(nil, monitorSlackNanos, 10), 0)
	}
}
