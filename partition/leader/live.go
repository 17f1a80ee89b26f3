package leader

import (
	"container/list"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// live is an instance in memory. The loop owns it. Its record is that of the
// newest turn, which may not be committed yet: nothing of it leaves the loop but
// through the effects of an entry.
type live struct {
	ref  InstanceRef
	addr partition.Address
	rec  *partition.Record // nil: there is no such instance
	// fresh is set while the record was never written: its start is in mail, or in
	// the mail of the episode that runs.
	fresh bool
	// old is the ended execution that a fresh one replaces.
	old *partition.Record

	// mail waits for a turn, oldest first. Stored mail is in it if loaded is set.
	mail   []*mail
	loaded bool
	run    *run // the episode that runs; nil: none
	queued bool // waits in the queue of the runnable
	turn   bool // that, or something else, is to give it a turn
	// queries wait to be asked. queriesFirst is set where they go before the next turn.
	queries      []*query
	queriesFirst bool
	// waiting is set while mail waits that is neither stored nor recorded, the
	// oldest since waits, by the loop's monotonic clock.
	waiting bool
	waits   time.Duration
	// heldBytes is the payload of mail that came since the mail was last stored or
	// recorded.
	heldBytes int
	// atMost bounds how much mail the next turn takes, because one with more of it was too
	// large to be recorded; 0: there is no such bound.
	atMost int
	// resting is set while a failed episode is not asked again yet.
	resting bool
	// probe is set while the instance is tried on behalf of all that wait for the
	// same name.
	probe bool

	// entity is what an entity has besides; nil for an orchestration. Its mail is there.
	entity *entity

	// attempts are the activities that were given out or wait to be.
	attempts map[int32]*attempt

	// tail holds the newest rows of history; unapplied counts those in entries that
	// are not applied. While it is above 0 the tail holds at least these.
	tail      []tailRow
	unapplied int

	idle *list.Element // in the list of idle instances
}

type tailRow struct {
	episode int64
	data    []byte
}

// mail is an event on its way, and who waits for it to be committed.
type mail struct {
	partition.Mail
	call     *call       // the request that it comes from
	recorded func(error) // the node that sent the result
	attempt  *attempt    // whose end it is; it stays in memory until the mail is written
	// lane is where it comes from until it is recorded, letter its number there, to
	// whose it is.
	lane   *inLane
	letter uint64
	to     *live
	// settled is set once the mail of an entity is recorded by a turn, or withdrawn;
	// since is when it came, by the loop's monotonic clock.
	settled bool
	since   time.Duration
}

// key names the present execution for executors.
func (c *core) key(l *live) ExecutionKey {
	return ExecutionKey{
		Partition: c.cfg.Partition, Epoch: c.epoch,
		Hub: l.ref.Hub, Instance: l.ref.ID, Execution: l.rec.Execution,
	}
}

// load brings an instance into memory.
func (c *core) load(ref InstanceRef) (*live, error) {
	if l := c.lives[ref]; l != nil {
		if l.idle != nil {
			c.idle.Remove(l.idle)
			c.idleMail -= l.entity.size()
			l.idle = nil
			c.touched = append(c.touched, l)
		}
		return l, nil
	}
	l := &live{ref: ref, addr: partition.NewAddress(c.cfg.Partition, ref.Hub, ref.ID)}
	if ref.ID.IsEntity() {
		l.entity = &entity{}
	}
	rec, err := partition.ReadRecord(&c.view, l.addr)
	if err != nil {
		return nil, err
	}
	l.rec = rec
	l.loaded = rec == nil || rec.Stored == 0
	c.lives[ref] = l
	c.touched = append(c.touched, l)
	return l, nil
}

// loadInbox reads the stored mail of an instance.
func (c *core) loadInbox(l *live) error {
	if l.loaded {
		return nil
	}
	stored, err := partition.ReadInbox(&c.view, l.addr)
	if err != nil {
		return err
	}
	all := make([]*mail, 0, len(stored)+len(l.mail))
	for _, m := range stored {
		all = append(all, &mail{Mail: *m})
	}
	if l.entity != nil {
		l.entity.load(l.rec, all)
		l.loaded = true
		return nil
	}
	for _, m := range l.mail {
		if m.Number == 0 {
			all = append(all, m)
		}
	}
	l.mail = all
	l.loaded = true
	return nil
}

// settle moves an instance that has nothing to do to the idle ones.
func (c *core) settle(l *live) {
	if l.idle != nil || c.lives[l.ref] != l {
		return
	}
	if l.rec != nil && l.rec.Parked.Why != partition.NotParked && l.run == nil && !l.queued && !l.waiting {
		l.mail, l.loaded = nil, l.rec.Stored == 0
		l.entity.unload()
	}
	if l.run != nil || l.queued || len(l.queries) > 0 || l.fresh || l.resting || l.unapplied > 0 || len(l.mail) > 0 || len(l.attempts) > 0 || l.entity.busy(l.rec) {
		return
	}
	if l.rec == nil {
		delete(c.lives, l.ref)
		return
	}
	l.idle = c.idle.PushBack(l)
	c.idleMail += l.entity.size()
	for c.idle.Len() > c.cfg.Limits.Instances || c.idleMail > idleMail && c.idle.Len() > 1 {
		eldest := c.idle.Remove(c.idle.Front()).(*live)
		c.idleMail -= eldest.entity.size()
		eldest.idle = nil
		delete(c.lives, eldest.ref)
	}
}

// post gives mail to an instance. It is recorded by the next turn, or stored if
// that does not come soon.
func (c *core) post(l *live, m *mail) error {
	if l.rec == nil || l.rec.Status.Ended() {
		c.discard(m)
		return nil
	}
	l.mail = append(l.mail, m)
	if l.rec.Parked.Why != partition.NotParked || l.resting {
		return c.store(l)
	}
	if l.rec.StartArmed && l.run == nil { // it is for later, like the start
		err := c.store(l)
		l.mail, l.loaded = nil, false
		return err
	}
	c.enqueue(l)
	c.letWait(l)
	// What is stored together is one entry.
	if l.heldBytes += bytesOf(m); l.heldBytes > heldBytes {
		return c.store(l)
	}
	return nil
}

// bytesOf returns how much mail brings: a payload, or a failure.
func bytesOf(m *mail) int {
	return len(history.PayloadOf(m.Event.Body)) + history.FailureIn(m.Event.Body).Bytes()
}

// heldBytes is how much of mail an instance holds that is neither stored nor
// recorded.
const heldBytes = 4 << 20

// letWait notes that an instance has mail that is to be stored if its turn does
// not come soon.
func (c *core) letWait(l *live) {
	if !l.waiting {
		l.waiting, l.waits = true, c.mono
		c.spills = append(c.spills, spill{l, c.mono})
	}
}

// store writes all mail of an instance to its inbox and tells those who wait.
func (c *core) store(l *live) error {
	if l.entity != nil {
		return c.storeEntity(l)
	}
	all := l.mail
	if l.run != nil {
		all = append(append([]*mail(nil), l.run.mail...), l.mail...)
	}
	if err := c.replace(l); err != nil {
		return err
	}
	rows := make([]*partition.Mail, 0, len(all))
	for _, m := range all {
		if m.Number == 0 {
			rows = append(rows, &m.Mail)
			c.stats.Spilled++
		}
	}
	if len(rows) == 0 && !l.fresh {
		return nil
	}
	if err := partition.Keep(&c.view, l.addr, l.rec, rows); err != nil {
		return err
	}
	return c.committed(l, all)
}

// replace removes the ended execution that a fresh one takes the place of, in
// the entry that writes the fresh one.
func (c *core) replace(l *live) error {
	if l.old == nil {
		return nil
	}
	if err := partition.Remove(&c.view, l.addr, l.old); err != nil {
		return err
	}
	l.old = nil
	return nil
}

// committed attaches the answers of mail to the entry that writes it.
func (c *core) committed(l *live, all []*mail) error {
	e := c.view.open
	l.fresh = false
	l.waiting = false
	l.heldBytes = 0
	for _, m := range all {
		if m.call != nil && m.call.update != nil {
			c.accepted(m.call)
			m.call = nil
		}
		if m.call != nil {
			a := StartAnswer{Execution: l.rec.Execution}
			if start := m.call.start; start != nil {
				a = StartAnswer{Execution: start.Execution, Started: true}
			}
			c.remember(m.call, l.addr, partition.Answer{Execution: a.Execution, Started: a.Started})
			e.replies = append(e.replies, reply{m.call, a, nil})
			m.call = nil
		}
		if m.recorded != nil {
			e.recorded = append(e.recorded, record{m.recorded, nil})
			m.recorded = nil
		}
		if m.attempt != nil {
			for _, recorded := range m.attempt.again {
				e.recorded = append(e.recorded, record{recorded, nil})
			}
			c.activityEnded(m.attempt, m.Event)
			c.detach(m.attempt)
			m.attempt = nil
		}
		if m.lane != nil {
			if err := c.arrived(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// spill is mail that is stored when its time has come.
type spill struct {
	live  *live
	since time.Duration // of the loop's monotonic clock
}

// storeOverdue stores the mail that waited for too long.
func (c *core) storeOverdue() error {
	for len(c.spills) > 0 && c.mono-c.spills[0].since >= c.cfg.Limits.Spill && !c.crowded() {
		s := c.spills[0]
		c.spills[0] = spill{}
		c.spills = c.spills[1:]
		l := s.live
		if !l.waiting || l.waits != s.since || c.lives[l.ref] != l {
			continue // that mail was recorded
		}
		if l.entity != nil && !c.overdue(l) {
			continue
		}
		if err := c.store(l); err != nil {
			return err
		}
		if err := c.closeFull(); err != nil {
			return err
		}
	}
	return nil
}

// startOf returns the place of the mail that starts the execution, or -1.
func startOf(all []*mail) int {
	for i, m := range all {
		if _, ok := m.Event.Body.(*history.ExecutionStarted); ok {
			return i
		}
	}
	return -1
}
