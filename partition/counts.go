package partition

import "github.com/reprise-run/reprise/internal/pack"

// Counts says how many rows two tables have that nobody reads as a whole. The leader
// counts the rows that it writes and deletes; both tables are written so that a row is
// set only where there is none, and deleted only where it is.
type Counts struct {
	// Timers is how many timers are armed.
	Timers int64
	// Parked is how many instances are parked, by reason.
	Parked [Incomplete + 1]int64
}

// Add counts n rows more, or less, if the key is one of those tables'.
func (c *Counts) Add(key []byte, n int64) {
	if len(key) <= tableHeader {
		return
	}
	switch Table(key[tableHeader-1]) {
	case TableTimers:
		c.Timers += n
	case TableParked:
		if why := int(key[tableHeader]); why < len(c.Parked) {
			c.Parked[why] += n
		}
	}
}

// CountedRanges returns the bounds of the tables whose rows are counted.
func CountedRanges(partition uint32) (all [][2][]byte) {
	for _, t := range []Table{TableTimers, TableParked} {
		from, to := TableRange(partition, t)
		all = append(all, [2][]byte{from, to})
	}
	return all
}

func (c *Counts) write(p *pack.Writer) {
	parked := c.Parked[:]
	for len(parked) > 0 && parked[len(parked)-1] == 0 {
		parked = parked[:len(parked)-1] // every entry of the log has this
	}
	p.Array(1 + len(parked))
	p.Int(c.Timers)
	for _, n := range parked {
		p.Int(n)
	}
}

// readCounts reads what write wrote, also of a writer that knew other reasons.
func readCounts(u *pack.Reader) *Counts {
	c := &Counts{}
	for i, n := 0, u.Array(); i < n && u.Err() == nil; i++ {
		switch rows := u.Int(); {
		case i == 0:
			c.Timers = rows
		case i <= len(c.Parked):
			c.Parked[i-1] = rows
		}
	}
	return c
}
