package bench

import (
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
	rank := int(p*float64(len(sorted))+0.999999) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}

func (l latencies) max() time.Duration { return l.percentile(1) }
