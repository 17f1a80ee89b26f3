package leader

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// entity is what an entity in memory has to do. Its mail stands in two queues, so
// that what waits for the end of a critical section is not looked at while the
// section goes on. The mail of a run is in neither. A nil entity has nothing.
type entity struct {
	// queue holds operations and lock requests in the order in which they came;
	// section the operations of who holds the entity, or of who has left it and whose
	// operations have not run: nothing else runs before them.
	queue   []*mail
	section []*mail
	// requests are the lock requests in queue, by who wants the lock.
	requests map[holder]*mail
	// loose holds mail that is not stored, in the order in which it came, until it
	// is; settled mail among it is skipped.
	loose []*mail
	// waiting counts the mail of both queues; bytes is its payload.
	waiting int
	bytes   int
	// before is the record of the life that ended in an entry that is not applied.
	before *partition.Record
}

// holder names a decision that asks for a lock.
type holder struct {
	instance  history.InstanceID
	execution history.ExecutionID
	taskID    int32
}

func holderOf(p *history.ParentInstance) holder { return holder{p.Instance, p.Execution, p.TaskID} }

// idleMail is how much payload of stored mail the entities keep in memory that have
// nothing to run: those that are locked.
const idleMail = 64 << 20

// size returns how much payload the mail in memory has.
func (e *entity) size() int {
	if e == nil {
		return 0
	}
	return e.bytes
}

// load fills the queues with stored mail; what is not stored comes behind it.
func (e *entity) load(r *partition.Record, stored []*mail) {
	e.queue, e.section, e.requests, e.waiting, e.bytes = nil, nil, nil, 0, 0
	for _, m := range stored {
		e.add(r, m)
	}
	for _, m := range e.loose {
		if !m.settled {
			e.add(r, m)
		}
	}
}

// unload drops mail that is all stored.
func (e *entity) unload() {
	if e != nil {
		*e = entity{before: e.before}
	}
}

// add puts mail at the end of its queue.
func (e *entity) add(r *partition.Record, m *mail) {
	e.waiting++
	e.bytes += len(history.PayloadOf(m.Event.Body))
	if ofSection(r, m.Event.Body) {
		e.section = append(e.section, m)
		return
	}
	if request, ok := m.Event.Body.(*history.EntityLockRequested); ok {
		if e.requests == nil {
			e.requests = make(map[holder]*mail)
		}
		e.requests[holderOf(request.Holder)] = m
	}
	e.queue = append(e.queue, m)
}

// ofSection reports whether mail comes from the critical section that holds the entity,
// or has held it last: the operations of a section come while it holds the entity, so
// those that nobody's section has any more are of the one that was left.
func ofSection(r *partition.Record, body history.Body) bool {
	by := r.Entity.LockedBy
	switch b := body.(type) {
	case *history.EntityOperationCalled:
		if by == nil {
			return b.Section != history.NoID
		}
		return b.Caller != nil && b.Caller.Instance == by.Instance && b.Caller.Execution == by.Execution && b.Section == by.TaskID
	case *history.EntityUnlockSent:
		return r.Entity.IsHolder(b.Holder)
	}
	return false
}

// active returns the queue from which the entity takes mail now, its first mail being
// one that is wanted.
func (e *entity) active(r *partition.Record) *[]*mail {
	e.skip(&e.section)
	if r.Entity.LockedBy != nil || len(e.section) > 0 {
		return &e.section
	}
	e.skip(&e.queue)
	return &e.queue
}

// skip drops what is settled from the front of a queue.
func (e *entity) skip(q *[]*mail) {
	for len(*q) > 0 && (*q)[0].settled {
		e.pop(q)
	}
}

func (e *entity) pop(q *[]*mail) {
	(*q)[0] = nil
	*q = (*q)[1:]
	if len(*q) == 0 {
		*q = nil
	}
}

// take takes mail away from the front of a queue, for good unless it is put back.
func (e *entity) take(q *[]*mail) *mail {
	m := (*q)[0]
	e.pop(q)
	e.waiting--
	e.bytes -= len(history.PayloadOf(m.Event.Body))
	if request, ok := m.Event.Body.(*history.EntityLockRequested); ok {
		delete(e.requests, holderOf(request.Holder))
	}
	return m
}

// backlog is what waits for an entity: mail that no run has taken, and operations that
// are not due; and its payload.
type backlog struct{ operations, bytes int64 }

func (b backlog) String() string {
	return fmt.Sprintf("%d operations of %d bytes", b.operations, b.bytes)
}

func backlogOf(l *live) (b backlog) {
	if l.rec == nil {
		return b
	}
	b.operations, b.bytes = int64(l.entity.waiting)+l.rec.Entity.Scheduled, int64(l.entity.bytes)+l.rec.ScheduledBytes
	if !l.loaded {
		b.operations += l.rec.Stored
		b.bytes += l.rec.StoredBytes
	}
	if l.run != nil {
		b.operations += int64(len(l.run.mail))
		for _, m := range l.run.mail {
			b.bytes += int64(len(history.PayloadOf(m.Event.Body)))
		}
	}
	return b
}

// operationsOfRun and mailBytes bound what one run of an entity takes.
const operationsOfRun = 64

// portion takes the operations of the next run, up to a number; there is at least one.
func (e *entity) portion(r *partition.Record, atMost int) (all []*mail) {
	q := e.active(r)
	for sum := 0; len(*q) > 0 && len(all) < atMost; {
		m := (*q)[0]
		if !m.settled && !isOperation(m) {
			break
		}
		if sum += len(history.PayloadOf(m.Event.Body)); len(all) > 0 && sum > mailBytes {
			break
		}
		if m.settled {
			e.pop(q)
			continue
		}
		all = append(all, e.take(q))
	}
	return all
}

func isOperation(m *mail) bool {
	switch m.Event.Body.(type) {
	case *history.EntityOperationSignaled, *history.EntityOperationCalled:
		return true
	}
	return false
}

// putBack puts operations back that were not run.
func (e *entity) putBack(r *partition.Record, all []*mail) {
	if len(all) == 0 {
		return
	}
	q := e.active(r)
	*q = append(all[:len(all):len(all)], *q...)
	e.waiting += len(all)
	for _, m := range all {
		e.bytes += len(history.PayloadOf(m.Event.Body))
	}
}

// hold notes mail that is to be stored if its turn does not come soon.
func (e *entity) hold(m *mail, now time.Duration) {
	m.since = now
	e.loose = append(e.loose, m)
}

// tidy drops what is settled from the front of the mail that is not stored.
func (e *entity) tidy() {
	e.skip(&e.loose)
}

// unstored returns the mail that is not stored.
func (e *entity) unstored() (all []*mail) {
	for _, m := range e.loose {
		if !m.settled {
			all = append(all, m)
		}
	}
	return all
}

// stored notes that all mail is stored now.
func (e *entity) stored(l *live) {
	if e == nil {
		return
	}
	e.loose = nil
	if !l.loaded {
		e.unload()
	}
}

// busy reports whether the entity has to stay in memory.
func (e *entity) busy(r *partition.Record) bool {
	if e == nil || r == nil {
		return false
	}
	e.tidy()
	return len(e.loose) > 0
}

// ready reports whether there is mail for a turn.
func (e *entity) ready(r *partition.Record) bool { return len(*e.active(r)) > 0 }
