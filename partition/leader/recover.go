package leader

import (
	"github.com/reprise-run/reprise/partition"
)

// What a new leader finds in the state. It reads heads, not tables: pages of the
// ready list and of the pending activities, as there is room for them.

// page is how many rows are read at a time.
const page = 256

// surveyed is a message: what the nodes run, or hold the results of.
type surveyed []AttemptID

func (ids surveyed) fail() {}

func (ids surveyed) handle(c *core) error {
	for _, id := range ids {
		if c.lostEarly[id] {
			continue // its node died while others were asked
		}
		if err := c.adopt(id); err != nil {
			return err
		}
	}
	c.surveyed, c.lostEarly = true, nil
	// What came early is next, as if it came now: message by message, so that each entry
	// takes what it has room for.
	taken := c.taken
	c.taken = append(c.early, taken...)
	c.early = nil
	clear(taken)
	c.tasksFrom, _ = partition.TableRange(c.cfg.Partition, partition.TableActivities)
	return nil
}

// superseded is why an attempt is cancelled that is not the newest of its activity.
const superseded = "there is a newer attempt"

// adopt takes an attempt of an earlier reign over, or cancels it.
func (c *core) adopt(id AttemptID) error {
	if id.Fence.Epoch >= c.epoch {
		return nil // this leader gave it out while the nodes were asked
	}
	l, err := c.load(InstanceRef{id.Hub, id.Instance})
	if err != nil {
		return err
	}
	var row *partition.Activity
	if l.rec != nil && l.rec.Execution == id.Execution && id.Partition == c.cfg.Partition {
		value, err := c.view.Get(l.addr.ActivityKey(id.TaskID))
		if err != nil {
			return err
		}
		if value != nil {
			if row, err = partition.DecodeActivity(value); err != nil {
				return err
			}
		}
	}
	a := l.attempts[id.TaskID]
	switch {
	case row == nil, row.Execution != id.Execution, row.Outside != partition.AttemptFence{}, // it was left to somebody outside
		once(row) && row.Noted != partition.AttemptFence(id.Fence),
		!above(id.Fence, Fence{row.FailedEpoch, row.FailedN}):
		c.cfg.Dispatcher.Cancel(id, "")
	case a == nil:
		c.attach(l, &attempt{live: l, id: id, row: row, state: running})
		c.attempts++
		if late(row.StartBy, c.now) {
			partition.Begun(&c.view, l.addr, id.TaskID, row)
		}
	case a.state == running && a.id.Fence.Epoch < c.epoch && above(id.Fence, a.id.Fence):
		c.cfg.Dispatcher.Cancel(a.id, superseded)
		a.id = id
	default:
		c.cfg.Dispatcher.Cancel(id, superseded)
	}
	return nil
}

func above(a, b Fence) bool {
	return a.Epoch > b.Epoch || a.Epoch == b.Epoch && a.N > b.N
}

// pageTasks reads a page of pending activities that nobody runs: those of all
// names once, and those of a name whose queue was full whenever it has room again.
func (c *core) pageTasks() error {
	switch {
	case !c.surveyed:
	case c.tasksFrom != nil:
		var err error
		c.tasksFrom, err = c.pageTasksFrom(c.tasksFrom, nil)
		return err
	case len(c.filling) > 0:
		q := c.filling[0]
		from := q.left
		q.left = nil
		next, err := c.pageTasksFrom(from, q)
		if err != nil {
			return err
		}
		if next != nil {
			q.leave(next)
		}
		if q.left == nil || c.full(q) {
			q.filling = false
			c.filling = c.filling[1:]
		}
	}
	return nil
}

// full reports whether a queue takes no more from the state.
func (c *core) full(q *taskQueue) bool { return q.length+q.coming >= c.cfg.Limits.Tasks }

// pageTasksFrom reads a page of pending activities; only is the queue that they
// are for, nil: any. It returns where the next page begins; nil at the end.
func (c *core) pageTasksFrom(from []byte, only *taskQueue) (next []byte, err error) {
	_, to := partition.TableRange(c.cfg.Partition, partition.TableActivities)
	type found struct {
		addr partition.Address
		id   int32
		row  *partition.Activity
	}
	var rows []found
	var failed error
	var last []byte
	read := 0
	err = c.view.Scan(from, to, func(key, value []byte) bool {
		read++
		last = append(last[:0], key...)
		addr, id, err := partition.ParseActivityKey(key)
		if err == nil {
			var row *partition.Activity
			if row, err = partition.DecodeActivity(value); err == nil && (only == nil || queueKey(row) == only.key) {
				rows = append(rows, found{addr, id, row})
			}
		}
		failed = err
		return err == nil && read < page
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	for _, f := range rows {
		if err := c.recoverTask(f.addr, f.id, f.row); err != nil {
			return nil, err
		}
	}
	if read < page {
		return nil, nil
	}
	return append(last, 0), nil
}

// recoverTask gives a pending activity out that is not in memory.
func (c *core) recoverTask(addr partition.Address, id int32, row *partition.Activity) error {
	ref := InstanceRef{addr.Hub, addr.ID}
	if l := c.lives[ref]; l != nil && l.attempts[id] != nil {
		return nil
	}
	if row.NextAttempt.After(c.now) || row.Outside != (partition.AttemptFence{}) {
		return nil // its timer begins it, or somebody outside completes it
	}
	noted := row.Noted != partition.AttemptFence{} // it may have begun, and nobody has it
	if noted || late(row.StartBy, c.now) {
		l, err := c.load(ref)
		if err != nil {
			return err
		}
		a := c.attemptOf(l, id, row)
		c.attach(l, a)
		if noted {
			return c.expire(a, outcomeUnknown(a))
		}
		return c.expire(a, startedLate(a))
	}
	q := c.queueOf(row)
	if c.full(q) {
		q.leave(addr.ActivityKey(id))
		return nil
	}
	l, err := c.load(ref)
	if err != nil {
		return err
	}
	q.coming++
	a := c.attemptOf(l, id, row)
	a.coming = true
	c.attach(l, a)
	if !once(row) && !c.ofThisReign(row) {
		c.doubt(a)
		return nil
	}
	c.offerCommitted(a)
	return nil
}

// ofThisReign reports whether no earlier leader can have given the present attempt out:
// the activity was scheduled in this reign, or the attempt before failed in it.
func (c *core) ofThisReign(row *partition.Activity) bool {
	return row.First.After(c.clock.Found()) || row.FailedEpoch == c.epoch
}

// doubt gives an activity out again of which an attempt is lost that may have acted, if
// there was one. That must not be forgotten: whoever adopts the new attempt knows nothing
// of the old one. So it is committed first.
func (c *core) doubt(a *attempt) {
	if a.row.MayHaveActed {
		c.offerCommitted(a)
		return
	}
	partition.Doubt(&c.view, a.live.addr, a.id.TaskID, a.row)
	c.view.open.dispatch = append(c.view.open.dispatch, a)
}

// offerCommitted gives an attempt out once all that the loop has written so far
// is committed.
func (c *core) offerCommitted(a *attempt) {
	if e := c.newest(); e != nil {
		e.dispatch = append(e.dispatch, a)
		return
	}
	c.offer(a)
}

// pageReady reads a page of the ready list.
func (c *core) pageReady() error {
	if c.readyFrom == nil || len(c.runnable) >= c.cfg.Limits.Runnable {
		return nil
	}
	_, to := partition.TableRange(c.cfg.Partition, partition.TableReady)
	refs, last, err := c.instances(c.readyFrom, to)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		l, err := c.load(ref)
		if err != nil {
			return err
		}
		if l.rec != nil && l.run == nil && l.rec.Stored > 0 && l.rec.Parked.Why == partition.NotParked {
			c.enqueue(l)
		}
	}
	c.readyFrom = last
	return nil
}

// instances reads a page of the ready list; next is nil at its end.
func (c *core) instances(from, to []byte) (refs []InstanceRef, next []byte, err error) {
	var last []byte
	var failed error
	err = c.view.Scan(from, to, func(key, _ []byte) bool {
		addr, _, err := partition.ParseAddress(key)
		if err != nil {
			failed = err
			return false
		}
		refs = append(refs, InstanceRef{addr.Hub, addr.ID})
		last = append(last[:0], key...)
		return len(refs) < page
	})
	if err == nil {
		err = failed
	}
	if len(refs) < page {
		return refs, nil, err
	}
	return refs, append(last, 0), err
}
