package leader

import (
	"errors"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/partition"
)

// An entry that is larger than the log takes ends the reign: it is half of what an
// orchestrator decided, or none of it. What one turn may write is bounded before it is
// recorded ([tooMuch]), and the instance fails by that alone. Behind it stands this: a
// turn that slips through is known by its instance, and the next leader of this node
// parks that instead of letting it end one reign after the other.

// Before an instance fails, what has come together is taken apart: updates that waited
// together may each get a reply that is allowed, and all of them be too much. So a turn
// that is too large is run again with half of its mail, and only one that took a single
// letter is the fault of the code.

// byHalves lets an instance, whose turn took so much mail and cannot be recorded, take
// half of it. The mail is back in its queue.
func (c *core) byHalves(l *live, taken int) {
	l.atMost = taken / 2
	c.enqueue(l)
}

// few returns how much of n letters the next turn takes: after a large turn little, and
// twice as much each time until it is all.
func (l *live) few(n int) int {
	if l.atMost == 0 || n <= l.atMost {
		l.atMost = 0
		return n
	}
	n = l.atMost
	l.atMost *= 2
	return n
}

// OversizedError says that an entry was larger than the log takes, and which instance
// has most of it. It ends the reign.
type OversizedError struct {
	Instance InstanceRef
	// Bytes are what the entry had, Allowed what the log takes.
	Bytes, Allowed int
}

// Error says how much it was.
func (e *OversizedError) Error() string {
	return fmt.Sprintf("an entry of %d bytes, mostly of %s, is more than the %d that the log takes", e.Bytes, crowdName(e.Instance), e.Allowed)
}

// mostOversized bounds what is remembered from reign to reign: the newest.
const mostOversized = 100

// Oversized returns what the next reign on a node is to be given, where one that was given
// so much ended with err: nothing, unless it ended by the size of an entry. Then what was
// given counts still, since what was to be parked may have been in that entry.
func Oversized(given []*OversizedError, err error) []*OversizedError {
	var newest *OversizedError
	if !errors.As(err, &newest) {
		return nil
	}
	all := slices.DeleteFunc(slices.Clone(given), func(e *OversizedError) bool { return e.Instance == newest.Instance })
	all = append(all, newest)
	return all[max(len(all)-mostOversized, 0):]
}

// reason tells people why the instance is parked.
func (e *OversizedError) reason() string {
	return fmt.Sprintf("its turn came to an entry of %d bytes; at most %d are allowed; let it decide less at a time, and report this: it should have failed by itself", e.Bytes, e.Allowed)
}

// weighed notes how much a turn of an instance has added to an entry.
func (e *entry) weighed(ref InstanceRef, added int) {
	if added > e.most {
		e.most, e.mostOf = added, ref
	}
}

// fits returns an error if an entry is more than the log takes.
func (c *core) fits(e *entry) error {
	if allowed := c.cfg.MaxEntryBytes; allowed > 0 && e.size() > allowed {
		return &OversizedError{Instance: e.mostOf, Bytes: e.size(), Allowed: allowed}
	}
	return nil
}

// parkOversized parks an instance whose turn ended an earlier reign, as one that is not
// tried again before its code has changed.
func (c *core) parkOversized(l *live) (parked bool, err error) {
	e := c.oversized[l.ref]
	if e == nil {
		return false, nil
	}
	return true, c.park(l, partition.Stuck, e.reason())
}
