package leader

import (
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// postEntity gives mail to an entity, which comes into being with it. It is recorded
// by a run, or stored if that does not come soon.
func (c *core) postEntity(l *live, m *mail) error {
	switch body := m.Event.Body.(type) {
	case *history.EntityUnlockSent:
		if l.rec == nil || !l.rec.Entity.IsHolder(body.Holder) {
			return c.withdraw(l, body, m)
		}
		return c.unlock(l, m)
	case *history.EntityOperationSignaled:
		if body.ScheduledTime.After(c.now) {
			return c.scheduleSignal(l, m)
		}
	}
	if call, ok := m.Event.Body.(*history.EntityOperationCalled); ok && l.rec != nil && call.Caller != nil &&
		!ofSection(l.rec, call) && c.flooded(backlogOf(l)) {
		b := backlogOf(l)
		return c.instead(partition.Flooded(l.addr, call.Caller, b.operations, b.bytes), m)
	}
	c.ensure(l)
	l.entity.add(l.rec, m)
	l.entity.hold(m, c.mono)
	c.noteOwn(l)
	if l.rec.Parked.Why != partition.NotParked || l.resting {
		return c.store(l)
	}
	if l.entity.ready(l.rec) || !l.loaded {
		c.enqueue(l)
	}
	c.letWait(l)
	// What is stored together is one entry.
	if l.heldBytes += len(history.PayloadOf(m.Event.Body)); l.heldBytes > heldBytes {
		return c.store(l)
	}
	return nil
}

// ensure lets an entity come into being, if it is not there.
func (c *core) ensure(l *live) {
	if l.rec != nil {
		return
	}
	c.lived++
	life := history.ChildExecution(history.ExecutionID(fmt.Sprintf("%d/%d/%s", c.cfg.Partition, c.epoch, l.addr)), c.lived)
	l.rec = partition.CreateEntity(l.addr, life, l.entity.before, c.now)
	l.fresh, l.loaded = true, true
}

// beginEntity lets an entity do what comes next: what locks and unlocks it at once,
// operations by its code.
func (c *core) beginEntity(l *live) error {
	for l.rec != nil && l.entity.ready(l.rec) {
		q := l.entity.active(l.rec)
		var err error
		switch (*q)[0].Event.Body.(type) {
		case *history.EntityLockRequested:
			err = c.lock(l, l.entity.take(q))
		case *history.EntityUnlockSent: // a former version stored it
			err = c.unlock(l, l.entity.take(q))
		default:
			return c.askEntity(l)
		}
		if err != nil {
			return err
		}
	}
	c.touched = append(c.touched, l)
	return nil
}

// lock locks an entity and tells who asked for it.
func (c *core) lock(l *live, m *mail) error {
	granted, err := partition.LockEntity(&c.view, l.addr, l.rec, &m.Mail, c.now)
	if err != nil {
		return err
	}
	if err := c.done(l, m); err != nil {
		return err
	}
	return c.write([]partition.Letter{granted})
}

// unlock unlocks an entity when it hears of it: that needs no code, and must not wait for
// any. What waits goes on, behind those operations of the section that have not run.
func (c *core) unlock(l *live, m *mail) error {
	gone, err := partition.UnlockEntity(&c.view, l.addr, l.rec, &m.Mail, c.now)
	if err != nil {
		return err
	}
	if err := c.done(l, m); err != nil {
		return err
	}
	c.ifGone(l, gone)
	if l.rec != nil && l.rec.Parked.Why == partition.NotParked && (!l.loaded || l.entity.ready(l.rec)) {
		c.enqueue(l)
	}
	return nil
}

// withdraw takes back a lock request whose section is not wanted any more. A release
// that finds neither lock nor request answers one that was released before.
func (c *core) withdraw(l *live, unlock *history.EntityUnlockSent, m *mail) error {
	if l.rec == nil || unlock.Holder == nil {
		c.discard(m)
		return nil
	}
	if err := c.loadInbox(l); err != nil {
		return err
	}
	request := l.entity.requests[holderOf(unlock.Holder)]
	if request == nil {
		c.discard(m)
		return nil
	}
	delete(l.entity.requests, holderOf(unlock.Holder))
	l.entity.waiting--
	request.settled = true
	if request.Number != 0 {
		gone, err := partition.WithdrawLock(&c.view, l.addr, l.rec, &request.Mail)
		if err != nil {
			return err
		}
		c.ifGone(l, gone)
	} else {
		c.discard(request)
		c.ifGone(l, l.fresh)
	}
	c.discard(m)
	c.touched = append(c.touched, l)
	return nil
}

// done attaches the answers of an entity's mail to the entry that records it.
func (c *core) done(l *live, all ...*mail) error {
	for _, m := range all {
		m.settled = true
	}
	waiting, waits := l.waiting, l.waits
	c.view.open.needed = true
	if err := c.committed(l, all); err != nil {
		return err
	}
	if l.entity.tidy(); len(l.entity.loose) > 0 {
		l.waiting, l.waits = waiting, waits
		c.letWait(l)
	}
	return nil
}

// ifGone lets go of an entity whose rows are deleted, unless it has mail in memory:
// then it goes on, and is written again.
func (c *core) ifGone(l *live, gone bool) {
	if !gone {
		return
	}
	if l.run != nil || l.entity.waiting > 0 {
		l.fresh = true
		return
	}
	l.entity.unload()
	l.entity.before = l.rec
	l.rec, l.fresh, l.waiting = nil, false, false
	l.unapplied++
	c.view.open.rows = append(c.view.open.rows, l)
}

// overdue reports whether mail of an entity has waited for too long; otherwise it is
// looked at again later.
func (c *core) overdue(l *live) bool {
	l.entity.tidy()
	l.waiting = false
	if len(l.entity.loose) == 0 {
		return false
	}
	if c.mono-l.entity.loose[0].since >= c.cfg.Limits.Spill {
		return true
	}
	c.letWait(l)
	return false
}

// storeEntity writes all mail of an entity to its inbox and tells those who wait.
func (c *core) storeEntity(l *live) error {
	all := l.entity.unstored()
	if len(all) == 0 {
		return nil
	}
	if err := partition.Keep(&c.view, l.addr, l.rec, rows(all)); err != nil {
		return err
	}
	c.stats.Spilled += uint64(len(all))
	c.touched = append(c.touched, l)
	l.entity.stored(l)
	return c.committed(l, all)
}

// scheduleSignal keeps an operation until it is due.
func (c *core) scheduleSignal(l *live, m *mail) error {
	c.ensure(l)
	timer, err := partition.ScheduleSignal(&c.view, l.addr, l.rec, &m.Mail)
	if err != nil {
		return err
	}
	c.timers.add(timer)
	c.noteOwn(l)
	c.touched = append(c.touched, l)
	return c.done(l, m)
}

// fireSignal makes mail of an operation that is due.
func (c *core) fireSignal(l *live, t partition.Timer) error {
	if l.rec == nil || l.entity == nil {
		return fmt.Errorf("a scheduled operation of %s is due, and the entity is not there", l.addr)
	}
	row, err := partition.ReadSignal(&c.view, l.addr, t.ID, t.Due)
	if err != nil || row == nil {
		return err
	}
	m := &mail{Mail: *row}
	m.Event.Time = c.now
	m.Event.Body.(*history.EntityOperationSignaled).ScheduledTime = t.Due
	return c.postEntity(l, m)
}
