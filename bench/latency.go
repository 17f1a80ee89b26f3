package bench

import (
	"math"
	"slices"
	"time"
)

// latencies are how long single things took. It is not safe for concurrent use.
type latencies []time.Duration

// percentile returns the smallest latency that at least the share p of all does
// not exceed; 0 where there are none.
func (l latencies) percentile(p float64) time.Duration {
	if len(l) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(l))
	const rounding = 1e-9 // of p, which has no exact form
	rank := int(math.Ceil((p - rounding) * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func (l latencies) max() time.Duration { return l.percentile(1) }
