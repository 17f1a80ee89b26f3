package partition

import "time"

// Clock is the partition's clock: the larger of the last value in its log and
// the leader's wall clock. It never runs backward. While the wall clock is
// behind, it advances at half the speed of the leader's monotonic clock until
// they meet.
type Clock struct{ found, last time.Time }

// NewClock returns a clock that goes on from the last value in the log.
func NewClock(last time.Time) Clock {
	last = fromNanos(nanos(last))
	return Clock{found: last, last: last}
}

// Found returns the value from which the clock went on: the last one of the leaders
// before.
func (c *Clock) Found() time.Time { return c.found }

// Now returns the clock's value without moving it.
func (c *Clock) Now() time.Time { return c.last }

// Advance moves the clock: wall is the wall clock, elapsed how far the monotonic
// clock went since the call before.
func (c *Clock) Advance(wall time.Time, elapsed time.Duration) time.Time {
	wall = fromNanos(nanos(wall))
	if !wall.Before(c.last) {
		c.last = wall
		return c.last
	}
	if elapsed > 0 {
		c.last = c.last.Add(elapsed / 2)
	}
	return c.last
}
