package leader

import "time"

// gathering says when the next entry may leave. One is on its way at a time, and what
// comes meanwhile gathers for the next. An entry costs the nodes about as much as three
// turns in it (bench/README.md), so where turns come close together, several to an
// entry, it pays to let them gather for as long again as the last entry took: a busy
// machine commits slower and gathers longer, until entries are as large as the load
// needs. Entries of one turn make nobody wait.
type gathering struct {
	until time.Duration // of the loop's monotonic clock
}

// longestGathering bounds what a slow disk adds to a step.
const longestGathering = 5 * time.Millisecond

// committed notes that an entry of so many turns was applied, and how long that took.
func (g *gathering) committed(turns int, took, now time.Duration) {
	if turns > 1 {
		g.until = now + min(took, longestGathering)
	}
}

// countTurn notes that the entry under construction records one more turn.
func (c *core) countTurn() {
	c.stats.Turns++
	c.view.open.turns++
}

// gathers reports whether the entry under construction holds something and has room to
// leave, so that only time keeps it.
func (c *core) gathers() bool {
	return !c.view.open.empty() && len(c.inFlight) < c.cfg.Limits.InFlight
}

// mayPropose reports whether the entry under construction may leave.
func (c *core) mayPropose() bool { return c.gathers() && c.mono >= c.gathering.until }

// untilGathered returns how long the entry under construction gathers, if nothing else
// keeps it.
func (c *core) untilGathered() (time.Duration, bool) {
	return c.gathering.until - c.mono, c.gathers()
}
