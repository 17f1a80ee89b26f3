package partition

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// What is written of a pending activity, and of its attempts besides their failures: who
// completes them, whether they may have begun, until when, and how far they came.

func (f AttemptFence) isZero() bool { return f == AttemptFence{} }

// schedule writes an activity that a turn has begun.
func schedule(s Store, a Address, r *Record, taskID int32, b *history.TaskScheduled, now time.Time, fx *Effects) {
	activity := &Activity{
		Execution: r.Execution, Name: b.Name, Version: b.Version,
		Episode: r.Episodes, Attempt: 1, First: now, Retry: b.Retry, Options: b.Options,
	}
	activity.limit(now)
	s.Set(a.ActivityKey(taskID), activity.Encode())
	for _, timer := range activity.Timers(a, taskID) {
		arm(s, timer)
		fx.Armed = append(fx.Armed, timer)
	}
	r.Activities++
	if activity.limited() {
		r.Limited++
	}
	fx.Tasks = append(fx.Tasks, Task{ID: taskID, Scheduled: b, Activity: activity})
}

// cancelActivity deletes an activity, and its result if that waits to be taken.
func cancelActivity(s Store, a Address, r *Record, b *history.TaskCanceled, rest []*Mail, fx *Effects) error {
	fx.Canceled = append(fx.Canceled, b)
	fx.Tasks = slices.DeleteFunc(fx.Tasks, func(t Task) bool { return t.ID == b.TaskID })
	if err := removeActivity(s, a, r, b.TaskID); err != nil {
		return err
	}
	return drop(s, a, r, rest, fx, func(body history.Body) bool {
		switch result := body.(type) {
		case *history.TaskCompleted:
			return result.TaskID == b.TaskID
		case *history.TaskFailed:
			return result.TaskID == b.TaskID
		}
		return false
	})
}

// Timers returns the timers of a pending activity.
func (a *Activity) Timers(of Address, taskID int32) []Timer {
	var all []Timer
	for _, t := range [...]Timer{
		{Due: a.NextAttempt, Kind: RetryTimer}, {Due: a.Deadline, Kind: OutsideTimer},
		{Due: a.StartBy, Kind: StartByTimer}, {Due: a.CloseBy, Kind: CloseByTimer},
	} {
		if !t.Due.IsZero() {
			t.Address, t.ID = of, taskID
			all = append(all, t)
		}
	}
	return all
}

// limited reports whether an activity has to begin or to end in time.
func (a *Activity) limited() bool {
	return a.Options != nil && (a.Options.ScheduleToStart > 0 || a.Options.ScheduleToClose > 0)
}

// limit sets until when an attempt has to begin that may begin at the given time,
// and, for the first, until when the activity has to end.
func (a *Activity) limit(from time.Time) {
	if a.Options == nil {
		return
	}
	a.StartBy = time.Time{}
	if d := a.Options.ScheduleToStart; d > 0 {
		a.StartBy = fromNanos(nanos(from.Add(d)))
	}
	if d := a.Options.ScheduleToClose; d > 0 && a.CloseBy.IsZero() {
		a.CloseBy = fromNanos(nanos(from.Add(d)))
	}
}

// change rewrites the row of a pending activity, and its timers. It returns those
// that it armed.
func (a *Activity) change(s Store, of Address, taskID int32, how func()) (armed []Timer) {
	before := a.Timers(of, taskID)
	how()
	after := a.Timers(of, taskID)
	for _, t := range before {
		if !among(after, t) {
			s.Delete(t.Key())
		}
	}
	s.Set(of.ActivityKey(taskID), a.Encode())
	for _, t := range after {
		if !among(before, t) {
			arm(s, t)
			armed = append(armed, t)
		}
	}
	return armed
}

// among reports whether one of the timers of an activity is t.
func among(all []Timer, t Timer) bool {
	for _, x := range all {
		if x.Kind == t.Kind && x.Due.Equal(t.Due) {
			return true
		}
	}
	return false
}

// LeaveOutside records that an attempt is completed by somebody outside, until
// closes at the latest, if that is not zero. It returns the timers that were armed.
func LeaveOutside(s Store, of Address, taskID int32, a *Activity, fence AttemptFence, closes, now time.Time) []Timer {
	return a.change(s, of, taskID, func() {
		a.Outside, a.Noted = fence, AttemptFence{}
		a.Closes = fromNanos(nanos(closes))
		a.Deadline = a.deadline(now)
		a.StartBy = time.Time{} // it has begun
	})
}

// deadline is when an outside attempt that was heard of now times out.
func (a *Activity) deadline(now time.Time) time.Time {
	due := a.Closes
	if a.Options != nil && a.Options.HeartbeatTimeout > 0 {
		if silent := fromNanos(nanos(now.Add(a.Options.HeartbeatTimeout))); due.IsZero() || silent.Before(due) {
			due = silent
		}
	}
	return due
}

// Heard records that an attempt lives, with its progress; nil leaves what was saved.
// It returns the timers that were armed.
func Heard(s Store, of Address, taskID int32, a *Activity, progress history.Payload, now time.Time) (armed []Timer) {
	due := a.Deadline
	if !a.Outside.isZero() {
		due = a.deadline(now)
	}
	first := progress != nil && !a.Progress
	if first || !due.Equal(a.Deadline) {
		armed = a.change(s, of, taskID, func() { a.Deadline, a.Progress = due, a.Progress || first })
	}
	if progress != nil {
		p := pack.NewWriter(8+len(progress), 1)
		p.Binary(progress)
		s.Set(of.progressKey(taskID), p.Bytes())
	}
	return armed
}

// Note records that an attempt is about to begin, of an activity that is attempted
// at most once; the zero fence, that it did not begin.
func Note(s Store, of Address, taskID int32, a *Activity, fence AttemptFence) {
	a.change(s, of, taskID, func() { a.Noted = fence })
}

// Doubt records that an attempt, of which nobody will know how it ended, may have acted.
func Doubt(s Store, of Address, taskID int32, a *Activity) {
	a.change(s, of, taskID, func() { a.MayHaveActed = true })
}

// Begun records that the attempt has begun, so that it cannot be late any more.
func Begun(s Store, of Address, taskID int32, a *Activity) {
	a.change(s, of, taskID, func() { a.StartBy = time.Time{} })
}

// WaitAnew records that the attempt, which had been given to a node, waits for one
// again. It returns the timers that were armed.
func WaitAnew(s Store, of Address, taskID int32, a *Activity, now time.Time) []Timer {
	return a.change(s, of, taskID, func() { a.limit(now) })
}

func (a Address) progressKey(taskID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableProgress, 4), uint32(taskID))
}

// ReadProgress returns the progress that attempts of a pending activity saved; nil
// where there is none.
func ReadProgress(r Reader, of Address, taskID int32) (history.Payload, error) {
	value, err := r.Get(of.progressKey(taskID))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeProgress(value)
}

func decodeProgress(value []byte) (history.Payload, error) {
	u := pack.NewReader(value)
	var progress history.Payload
	if u.Next() {
		progress = u.Binary()
	}
	if u.Err() != nil {
		return nil, fmt.Errorf("decode progress of an activity: %w", u.Err())
	}
	return progress, nil
}

// more tells what is special about a pending activity.
func (a *Activity) more() string {
	text := ""
	if !a.Outside.isZero() {
		text += fmt.Sprintf(" outside=%d.%d", a.Outside.Epoch, a.Outside.N)
	}
	if !a.Noted.isZero() {
		text += fmt.Sprintf(" noted=%d.%d", a.Noted.Epoch, a.Noted.N)
	}
	for _, t := range []struct {
		label string
		at    time.Time
	}{{"deadline", a.Deadline}, {"start-by", a.StartBy}, {"close-by", a.CloseBy}} {
		if !t.at.IsZero() {
			text += " " + t.label + "=" + clock(t.at)
		}
	}
	if a.Progress {
		text += " progress"
	}
	if a.MayHaveActed {
		text += " may-have-acted"
	}
	return text
}
