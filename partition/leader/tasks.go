package leader

import (
	"fmt"
	"strconv"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// attemptState is where an attempt is.
type attemptState uint8

const (
	committing attemptState = iota // its row is not committed yet
	queued                         // waits for room
	running                        // given out, or adopted
	backingOff                     // its retry timer is armed
	finished                       // its end is mail that is not written yet
	gone                           // not wanted any more
)

// attempt is a pending activity that the leader has in memory. Its id is that of
// the newest attempt.
type attempt struct {
	live  *live
	id    AttemptID
	row   *partition.Activity
	state attemptState
	// scheduled holds the input; nil where it is to be read from history.
	scheduled *history.TaskScheduled
	// coming is set where its queue counts it as such.
	coming bool
	// noting is set where its queue counts it as one whose note is not committed.
	noting bool
	// fresh is set while no attempt of the activity was given out: none has saved
	// progress.
	fresh bool
	// again are nodes that sent the result once more before it was written.
	again []func(error)
}

// keptInput is the largest input that stays in memory for a retry.
const keptInput = 4 << 10

// schedule takes a new activity, to be given out once its row is committed.
func (c *core) schedule(l *live, task partition.Task) {
	a := c.attemptOf(l, task.ID, task.Activity)
	a.scheduled, a.fresh = task.Scheduled, true
	c.attach(l, a)
	c.view.open.dispatch = append(c.view.open.dispatch, a)
}

// unwanted is an attempt whose result is not wanted any more, and why.
type unwanted struct {
	id     AttemptID
	reason string
}

// attemptOf returns an attempt of a pending activity, to be attached.
func (c *core) attemptOf(l *live, taskID int32, row *partition.Activity) *attempt {
	return &attempt{live: l, row: row, id: AttemptID{
		Partition: c.cfg.Partition, Hub: l.ref.Hub, Instance: l.ref.ID, Execution: row.Execution, TaskID: taskID,
	}}
}

func (c *core) attach(l *live, a *attempt) {
	if l.attempts == nil {
		l.attempts = make(map[int32]*attempt)
	}
	l.attempts[a.id.TaskID] = a
}

// drop forgets an activity that is not wanted any more; once that is committed
// its node is told, with the reason.
func (c *core) drop(l *live, taskID int32, reason string) {
	a := l.attempts[taskID]
	if a == nil {
		return
	}
	if a.state == running {
		c.view.open.cancel = append(c.view.open.cancel, unwanted{a.id, reason})
	}
	for _, recorded := range a.again {
		c.refuse(recorded)
	}
	c.activitySpan(a, c.now, history.Canceled, nil)
	c.detach(a)
}

func (c *core) detach(a *attempt) {
	if a.state == running {
		c.attempts--
	}
	a.state = gone
	if a.live.attempts[a.id.TaskID] == a {
		delete(a.live.attempts, a.id.TaskID)
	}
	c.touched = append(c.touched, a.live)
}

// refill lets a queue that is half empty take what was left in the state.
func (c *core) refill(q *taskQueue) {
	if q.left != nil && !q.filling && q.length+q.coming <= c.cfg.Limits.Tasks/2 {
		q.filling = true
		c.filling = append(c.filling, q)
	}
}

// offer gives a committed attempt out, or lets it wait for room.
func (c *core) offer(a *attempt) {
	q := c.queueOf(a.row)
	if a.coming {
		a.coming = false
		q.coming--
		c.refill(q)
	}
	if a.noting {
		a.noting = false
		q.noting--
	}
	if a.state != committing && a.state != backingOff {
		return
	}
	noted := a.noted()
	if (noted || q.length == 0 && !q.blocked) && c.give(a) {
		return
	}
	if noted {
		c.unnote(a)
	}
	q.blocked = true
	if late(a.row.StartBy, c.now) {
		if err := c.expire(a, startedLate(a)); err != nil {
			c.broken = err
		}
		return
	}
	if q.length >= c.cfg.Limits.Tasks && !c.makeRoom(q, a) {
		c.leaveInState(q, a)
		return
	}
	a.state = queued
	c.queuedTasks++
	q.push(a)
}

// give hands an attempt to the dispatcher, with a new fence. One that may be made at
// most once is noted first, and comes back here when that is committed.
func (c *core) give(a *attempt) bool {
	if a.once() && !a.noted() {
		return c.noteFirst(a)
	}
	scheduled := a.scheduled
	if scheduled == nil {
		var err error
		if scheduled, err = c.scheduledOf(a); err != nil {
			c.broken = err
			return false
		}
	}
	task := ActivityTask{
		Number: a.row.Attempt,
		Name:   scheduled.Name, Version: scheduled.Version, Input: scheduled.Input,
		Key:     idempotencyKey(a.id),
		Timeout: scheduled.Timeout,
		Trace:   scheduled.Trace,
		Tags:    scheduled.Tags,
		Options: scheduled.Options,
	}
	if !a.fresh && a.row.Progress {
		var err error
		if task.Progress, err = partition.ReadProgress(&c.view, a.live.addr, a.id.TaskID); err != nil {
			c.broken = err
			return false
		}
	}
	if !a.noted() {
		c.fence++
		a.id.Fence = Fence{Epoch: c.epoch, N: c.fence}
	}
	task.Attempt = a.id
	if !c.cfg.Dispatcher.Dispatch(task) {
		return false
	}
	a.fresh = false
	a.state = running
	c.attempts++
	a.scheduled = nil
	if a.row.Retry != nil && len(scheduled.Input) <= keptInput {
		a.scheduled = scheduled
	}
	return true
}

// idempotencyKey is the same for all attempts of an activity.
func idempotencyKey(id AttemptID) string {
	return IdempotencyKey(ExecutionKey{Hub: id.Hub, Instance: id.Instance, Execution: id.Execution}, id.TaskID)
}

// IdempotencyKey is what all attempts of an execution's activity share.
func IdempotencyKey(key ExecutionKey, taskID int32) string {
	return string(key.Hub) + "/" + string(key.Instance) + "/" + string(key.Execution) + "/" + strconv.Itoa(int(taskID))
}

// scheduledOf reads the event that scheduled an activity. The rows of a fan-out
// are the same row of history: the last one read is kept.
func (c *core) scheduledOf(a *attempt) (*history.TaskScheduled, error) {
	k := &c.inputs
	if k.live != a.live || k.execution != a.row.Execution || k.episode != a.row.Episode || k.byID == nil {
		events, err := partition.ReadEpisode(&c.view, a.live.addr, a.row.Execution, a.row.Episode)
		if err != nil {
			return nil, err
		}
		*k = inputs{a.live, a.row.Execution, a.row.Episode, make(map[int32]*history.TaskScheduled)}
		for _, e := range events {
			if scheduled, ok := e.Body.(*history.TaskScheduled); ok {
				k.byID[e.ID] = scheduled
			}
		}
	}
	scheduled := k.byID[a.id.TaskID]
	if scheduled == nil {
		return nil, fmt.Errorf("activity %d of %s is not in episode %d", a.id.TaskID, a.live.addr, a.row.Episode)
	}
	return scheduled, nil
}

// inputs are the activities that one recorded episode scheduled.
type inputs struct {
	live      *live
	execution history.ExecutionID
	episode   int64
	byID      map[int32]*history.TaskScheduled
}

// result is a message: how an attempt ended.
type result struct {
	ActivityResult
	recorded func(error)
}

func (r *result) fail() { r.recorded(ErrNotLeading) }

func (r *result) handle(c *core) error {
	id := r.Attempt
	l, err := c.load(InstanceRef{id.Hub, id.Instance})
	if err != nil {
		r.fail()
		return err
	}
	a := l.attempts[id.TaskID]
	if a != nil && a.id == id && a.state == finished && !c.cfg.Faults.noDedup() {
		a.again = append(a.again, r.recorded)
		return nil
	}
	if a == nil || a.id != id || a.state != running {
		return c.strayResult(l, r)
	}
	if len(r.Result) > history.MaxPayloadBytes {
		r.Failure = &history.Failure{Type: history.FailureTooLarge, NonRetriable: true,
			Message: fmt.Sprintf("the activity returned %d bytes; at most %d are allowed", len(r.Result), history.MaxPayloadBytes)}
	}
	if r.Pending {
		return c.leaveOutside(a, r)
	}
	if r.Failure != nil {
		c.saveProgress(a, r.Progress)
		if c.retry(a, r.Failure) {
			c.view.open.recorded = append(c.view.open.recorded, record{r.recorded, nil})
			return nil
		}
	}
	return c.finish(a, r.mail(c))
}

// retry schedules the next attempt of an activity, if there is to be one.
func (c *core) retry(a *attempt, f *history.Failure) bool {
	next, again := a.row.Failed(c.now, f)
	if !again {
		return false
	}
	fence := a.id.Fence
	for _, timer := range partition.Retry(&c.view, a.live.addr, a.id.TaskID, a.row, next, f, fence.Epoch, fence.N) {
		c.timers.add(timer)
	}
	if a.state == running {
		c.attempts--
	}
	a.state = backingOff
	return true
}

// finish gives the end of an activity to its instance.
func (c *core) finish(a *attempt, m *mail) error {
	if a.state == running {
		c.attempts--
	}
	a.state = finished
	m.attempt = a
	if failed, ok := m.Event.Body.(*history.TaskFailed); ok && a.row.MayHaveActed {
		f := *failed.Failure
		f.MayHaveActed = true
		failed.Failure = &f
	}
	return c.post(a.live, m)
}

func (r *result) mail(c *core) *mail {
	m := &mail{recorded: r.recorded}
	m.Event = history.Event{ID: history.NoID, Time: c.now}
	if r.Failure != nil {
		m.Event.Body = &history.TaskFailed{TaskID: r.Attempt.TaskID, Failure: r.Failure}
	} else {
		m.Event.Body = &history.TaskCompleted{TaskID: r.Attempt.TaskID, Result: r.Result}
	}
	return m
}

// strayResult deals with the result of an attempt that was neither given out nor
// adopted here, or is not the newest.
func (c *core) strayResult(l *live, r *result) error {
	switch epoch := r.Attempt.Fence.Epoch; {
	case epoch > c.epoch:
		r.recorded(ErrNotLeading) // somebody newer wants it
		return nil
	case epoch < c.epoch && !c.surveyed:
		// It may be adopted yet.
		if len(c.early) >= c.cfg.Limits.Results {
			r.recorded(ErrOverloaded)
			return nil
		}
		c.early = append(c.early, r)
		return nil
	}
	if c.cfg.Faults.noDedup() && l.rec != nil && l.rec.Execution == r.Attempt.Execution {
		return c.post(l, r.mail(c))
	}
	c.refuse(r.recorded)
	return nil
}

// lost is a message: attempts whose nodes are dead.
type lost []AttemptID

func (ids lost) fail() {}

func (ids lost) handle(c *core) error {
	for _, id := range ids {
		if !c.surveyed && id.Fence.Epoch < c.epoch {
			c.lostEarly[id] = true // the survey may still tell of it
			continue
		}
		l := c.lives[InstanceRef{id.Hub, id.Instance}]
		if l == nil {
			continue
		}
		a := l.attempts[id.TaskID]
		switch {
		case a == nil || a.id != id || a.state != running:
		case a.once():
			if err := c.expire(a, outcomeUnknown(a)); err != nil {
				return err
			}
		default:
			c.attempts--
			a.state = committing
			c.waitAnew(a)
			c.doubt(a)
		}
	}
	return nil
}
