package nodeproc

import (
	"os"
	"runtime"
)

// Prepare sets up the runtime. Call it first in main. What the environment says
// (GOMAXPROCS, GOGC) stays.
func Prepare() {
	if os.Getenv("GOMAXPROCS") == "" {
		// An fsync holds one of Go's processors: with few, everything waits for disks.
		runtime.GOMAXPROCS(max(runtime.NumCPU(), 8))
	}
	if os.Getenv("GOGC") == "" {
		// A node's live heap is small; collecting it less often saves a tenth of the
		// processor time for some tens of megabytes.
		pace()
	}
}
