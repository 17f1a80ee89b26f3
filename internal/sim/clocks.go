package sim

import (
	"sync"
	"time"
)

// wallClock is a machine's clock: it may be wrong, and run fast or slow.
type wallClock struct {
	mu    sync.Mutex    // guards all below
	since time.Time     // true time of the last change
	ahead time.Duration // then
	drift float64       // how much of the time that has passed since came on top
}

// read returns what the clock shows.
func (c *wallClock) read() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	return now.Add(c.aheadAt(now))
}

func (c *wallClock) aheadAt(now time.Time) time.Duration {
	if c.drift == 0 {
		return c.ahead
	}
	return c.ahead + time.Duration(c.drift*float64(now.Sub(c.since)))
}

// set makes the clock jump.
func (c *wallClock) set(ahead time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.since, c.ahead = time.Now(), ahead
}

// run makes the clock gain (or lose) so much of the time that passes.
func (c *wallClock) run(drift float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	c.ahead, c.since, c.drift = c.aheadAt(now), now, drift
}
