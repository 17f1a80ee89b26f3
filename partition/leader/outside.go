package leader

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// CompleteByToken completes an activity from outside; it returns when that is
// committed. Errors: [ErrStale] where the attempt is not wanted any more, and those
// of all requests.
func (l *Leader) CompleteByToken(ctx context.Context, req CompleteRequest) error {
	ref := InstanceRef{req.Token.Hub, req.Token.Instance}
	if err := validateTarget(ref, req.Identity); err != nil {
		return err
	}
	if len(req.Result) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: result of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Result), history.MaxPayloadBytes)
	}
	if f := req.Failure; f != nil && len(f.Type)+len(f.Code)+len(f.Message)+len(f.Stack)+len(f.Data) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: failure of more than %d bytes", ErrTooLarge, history.MaxPayloadBytes)
	}
	_, err := l.call(ctx, &call{ref: ref, identity: req.Identity, complete: &req})
	return err
}

// HeartbeatByToken says that an attempt lives, and saves its progress; it returns
// when that is committed. Errors: as for [Leader.CompleteByToken].
func (l *Leader) HeartbeatByToken(ctx context.Context, req HeartbeatRequest) error {
	ref := InstanceRef{req.Token.Hub, req.Token.Instance}
	if err := validateTarget(ref, RequestIdentity{}); err != nil {
		return err
	}
	if len(req.Progress) > history.MaxProgressBytes {
		return fmt.Errorf("%w: progress of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Progress), history.MaxProgressBytes)
	}
	_, err := l.call(ctx, &call{ref: ref, beat: &req})
	return err
}

// leaveOutside records that an attempt has ended without an outcome: somebody
// outside completes it. From then on no node is needed, and nothing is in memory.
func (c *core) leaveOutside(a *attempt, r *result) error {
	c.saveProgress(a, r.Progress)
	scheduled := a.scheduled
	if scheduled == nil {
		var err error
		if scheduled, err = c.scheduledOf(a); err != nil {
			return err
		}
	}
	var closes time.Time
	if scheduled.Timeout > 0 {
		closes = c.now.Add(max(scheduled.Timeout-r.Ran, 0))
	}
	fence := partition.AttemptFence(a.id.Fence)
	for _, timer := range partition.LeaveOutside(&c.view, a.live.addr, a.id.TaskID, a.row, fence, closes, c.now) {
		c.timers.add(timer)
	}
	c.detach(a)
	c.view.open.recorded = append(c.view.open.recorded, record{r.recorded, nil})
	return nil
}

// byToken returns the attempt that a token names: one that runs, or one that is left
// to somebody outside, which is attached now. It returns nil where the attempt is
// not wanted; early is set where that is not known before the survey is over.
func (c *core) byToken(l *live, t history.AttemptToken) (a *attempt, early bool, err error) {
	if l.rec == nil || l.rec.Status.Ended() || l.rec.Execution != t.Execution {
		return nil, false, nil
	}
	fence := Fence{t.Epoch, t.N}
	if a := l.attempts[t.TaskID]; a != nil {
		if a.id.Fence == fence && a.state == running {
			return a, false, nil
		}
		return nil, c.unknown(a.row, fence) && a.state != finished, nil
	}
	row, err := c.pendingRow(l, t.TaskID)
	if err != nil || row == nil {
		return nil, false, err
	}
	if row.Outside != partition.AttemptFence(fence) {
		return nil, c.unknown(row, fence), nil
	}
	a = c.attemptOf(l, t.TaskID, row)
	a.id.Fence = fence
	return a, false, nil
}

// unknown reports whether an attempt of an earlier leader may be adopted yet.
func (c *core) unknown(row *partition.Activity, fence Fence) bool {
	return !c.surveyed && fence.Epoch < c.epoch && row.Outside == partition.AttemptFence{} &&
		above(fence, Fence{row.FailedEpoch, row.FailedN})
}

// pendingRow reads the row of a pending activity; nil: there is none.
func (c *core) pendingRow(l *live, taskID int32) (*partition.Activity, error) {
	value, err := c.view.Get(l.addr.ActivityKey(taskID))
	if err != nil || value == nil {
		return nil, err
	}
	return partition.DecodeActivity(value)
}

// postpone lets a request wait for the survey.
func (q *call) postpone(c *core) {
	if len(c.early) >= c.cfg.Limits.Results {
		q.done <- outcome{err: ErrOverloaded}
		return
	}
	c.early = append(c.early, q)
}

func (q *call) doComplete(c *core, l *live) error {
	a, early, err := c.byToken(l, q.complete.Token)
	switch {
	case err != nil:
		return err
	case early:
		q.postpone(c)
		return nil
	case a == nil:
		return q.refuseStale(c, l, q.complete.Token.TaskID)
	}
	if a.state == running {
		c.view.open.cancel = append(c.view.open.cancel, unwanted{a.id, "somebody outside has completed it"}) // its node is told
	} else {
		c.attach(l, a)
	}
	f := q.complete.Failure.Bounded()
	switch {
	case f == nil:
		return c.finish(a, c.mailOf(q, &history.TaskCompleted{TaskID: a.id.TaskID, Result: q.complete.Result}))
	case c.retry(a, f):
		return c.conclude(q, l, StartAnswer{}, nil)
	}
	return c.finish(a, c.mailOf(q, &history.TaskFailed{TaskID: a.id.TaskID, Failure: f}))
}

// refuseStale answers that an attempt is not wanted, once what makes it so is
// committed.
func (q *call) refuseStale(c *core, l *live, taskID int32) error {
	if a := l.attempts[taskID]; a != nil && a.state == finished {
		if err := c.store(l); err != nil {
			return err
		}
	}
	c.stats.StaleResults++
	return c.conclude(q, l, StartAnswer{}, ErrStale)
}

func (q *call) doBeat(c *core, l *live) error {
	a, early, err := c.byToken(l, q.beat.Token)
	switch {
	case err != nil:
		return err
	case early:
		q.postpone(c)
		return nil
	case a == nil:
		return q.refuseStale(c, l, q.beat.Token.TaskID)
	}
	c.heard(a, q.beat.Progress)
	return c.conclude(q, l, StartAnswer{}, nil)
}

// late reports whether a time limit has passed; the zero time is none.
func late(limit, now time.Time) bool { return !limit.IsZero() && !limit.After(now) }

// fireLimit acts on the timer of a time limit of an activity.
func (c *core) fireLimit(l *live, t partition.Timer) error {
	a := l.attempts[t.ID]
	if a == nil {
		row, err := c.pendingRow(l, t.ID)
		if err != nil || row == nil {
			return err
		}
		a = c.attemptOf(l, t.ID, row)
		a.id.Fence = Fence(row.Outside)
	}
	switch {
	case a.state == finished:
		return nil
	case t.Kind == partition.CloseByTimer && a.row.CloseBy.Equal(t.Due):
		c.hold(a)
		return c.expire(a, timeout("activity %q took longer than %v with all its attempts", a.row.Name, a.row.Options.ScheduleToClose))
	case t.Kind == partition.OutsideTimer && a.row.Deadline.Equal(t.Due):
		c.hold(a)
		f := timeout("attempt %d of activity %q was not completed by its token in time", a.row.Attempt, a.row.Name)
		if !a.row.Closes.Equal(t.Due) {
			f = timeout("attempt %d of activity %q was silent for longer than %v", a.row.Attempt, a.row.Name, a.row.Options.HeartbeatTimeout)
		}
		if c.retry(a, f) {
			return nil
		}
		return c.expire(a, f)
	case t.Kind == partition.StartByTimer && a.row.StartBy.Equal(t.Due) && (a.state == queued || a.state == committing && !a.noted()):
		if l.attempts[t.ID] != a && !c.surveyed {
			return nil // a node may run it; if none does, it is found after the survey
		}
		c.hold(a)
		return c.expire(a, startedLate(a))
	case t.Kind == partition.StartByTimer && a.row.StartBy.Equal(t.Due) && a.state == running:
		partition.Begun(&c.view, l.addr, t.ID, a.row)
	}
	return nil
}

// waitAnew lets an attempt that had been given to a node wait for one as long as at
// first.
func (c *core) waitAnew(a *attempt) {
	if a.row.Options == nil || a.row.Options.ScheduleToStart == 0 {
		return
	}
	for _, timer := range partition.WaitAnew(&c.view, a.live.addr, a.id.TaskID, a.row, c.now) {
		c.timers.add(timer)
	}
}

// hold attaches an attempt that is not in memory.
func (c *core) hold(a *attempt) {
	if a.live.attempts[a.id.TaskID] == nil {
		c.attach(a.live, a)
	}
}

// expire ends an activity for good.
func (c *core) expire(a *attempt, f *history.Failure) error {
	if a.state == running {
		c.view.open.cancel = append(c.view.open.cancel, unwanted{a.id, f.Message})
	}
	m := &mail{}
	m.Event = history.Event{ID: history.NoID, Time: c.now, Body: &history.TaskFailed{TaskID: a.id.TaskID, Failure: f}}
	return c.finish(a, m)
}

func timeout(format string, args ...any) *history.Failure {
	return &history.Failure{Type: history.FailureTimeout, Message: fmt.Sprintf(format, args...)}
}

func startedLate(a *attempt) *history.Failure {
	return timeout("attempt %d of activity %q was begun by no node within %v", a.row.Attempt, a.row.Name, a.row.Options.ScheduleToStart)
}
