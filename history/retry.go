package history

import (
	"math"
	"slices"
	"time"
)

// Next says what follows a failed attempt: when the next one begins, or false
// where the failure is for good. attempt counts from 1, first is when the first
// attempt could begin, now when this one failed. A nil policy allows one attempt.
func (p *RetryPolicy) Next(attempt int, first, now time.Time, f *Failure) (next time.Time, again bool) {
	if p == nil || attempt >= p.MaxAttempts || f.NonRetriable || slices.Contains(p.NonRetryable, f.Code) && f.Code != "" {
		return time.Time{}, false
	}
	next = now.Add(p.interval(attempt))
	if p.Total > 0 && next.After(first.Add(p.Total)) {
		return time.Time{}, false
	}
	return next, true
}

// interval is the wait after so many attempts.
func (p *RetryPolicy) interval(attempts int) time.Duration {
	longest := time.Duration(math.MaxInt64 / 4)
	if p.MaxInterval > 0 {
		longest = min(longest, p.MaxInterval)
	}
	wait := float64(p.First) * math.Pow(max(p.Backoff, 1), float64(attempts-1))
	if wait >= float64(longest) { // also where it is infinite
		return longest
	}
	return max(time.Duration(wait), 0)
}
