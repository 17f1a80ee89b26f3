package leader

import (
	"github.com/reprise-run/reprise/partition"
)

// deliverReply tells a caller how an operation of an entity ended, if he still waits
// for it.
func (c *core) deliverReply(l *live, letter *partition.Letter, taskID int32, m *mail) error {
	if l.rec != nil && l.rec.Execution == letter.ToExecution && !l.rec.Status.Ended() {
		call, err := partition.ReadCall(&c.view, l.addr, taskID)
		if err != nil {
			return err
		}
		if call != nil && call.Target == letter.From {
			return c.post(l, m)
		}
	}
	c.discard(m)
	return nil
}

// deliverGrant tells a critical section that one of its entities is locked. That is
// no matter of the orchestrator's code until all of them are. A grant that nobody
// waits for any more is given back.
func (c *core) deliverGrant(l *live, letter *partition.Letter, taskID int32, m *mail) error {
	var section *partition.Section
	if l.rec != nil && l.rec.Execution == letter.ToExecution && !l.rec.Status.Ended() {
		var err error
		if section, err = partition.ReadSection(&c.view, l.addr, taskID); err != nil {
			return err
		}
	}
	switch {
	case section == nil:
		return c.instead(partition.Unwanted(letter, taskID), m)
	case section.Acquired >= len(section.LockSet) || section.LockSet[section.Acquired] != letter.From:
		c.discard(m) // of one that is locked already
		return nil
	case section.Acquired < len(section.LockSet)-1:
		return c.instead(partition.Acquire(&c.view, l.addr, l.rec, taskID, section), m)
	}
	return c.post(l, m)
}

// instead writes a letter in place of mail that is thereby recorded.
func (c *core) instead(letter partition.Letter, m *mail) error {
	if err := c.write([]partition.Letter{letter}); err != nil {
		return err
	}
	if m.lane != nil {
		if err := c.arrived(m); err != nil {
			return err
		}
	}
	c.discard(m)
	return nil
}
