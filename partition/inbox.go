package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Mail is an event on its way to an instance.
type Mail struct {
	Event history.Event
	// Number is the row of the inbox, from 1; 0 while the mail is not stored.
	Number uint64
	// Sent is the row of the partition's lane to itself from which the mail comes; 0
	// where it comes from elsewhere, or is stored.
	Sent uint64
	// Signal is the row of a scheduled operation that has become due; nil where the
	// mail comes from elsewhere, or is stored.
	Signal *Signal
	// Pieces is how many pieces the row that the mail comes from has.
	Pieces int
}

// middleMail is below the number of the first mail of an inbox. What begins an execution
// while mail is stored that goes to it gets numbers below all that were given before, so
// that nothing of the mail is written again. Older writers began with 1.
const middleMail = 1 << 40

// Keep stores mail in the inbox, in place of the pending rows that it came from.
// Mail that is stored already stays. The instance comes to stand in the ready
// list unless it is parked or starts later.
func Keep(s Store, a Address, r *Record, mail []*Mail) error {
	for _, m := range mail {
		if m.Number != 0 {
			continue
		}
		if err := consume(s, a, r, m); err != nil {
			return err
		}
		keep(s, a, r, m, r.takeNumber(), rowBytes)
	}
	if !r.Ready && r.Stored > 0 && r.Parked.Why == NotParked && !r.StartArmed {
		r.Ready = true
		s.Set(a.readyKey(), readyValue)
	}
	if r.Entity != nil {
		enlist(s, a, r)
	}
	s.Set(a.RecordKey(), r.Encode())
	return nil
}

// takeNumber returns the number of the next mail.
func (r *Record) takeNumber() uint64 {
	if r.NextMail < middleMail {
		r.NextMail += middleMail
	}
	r.NextMail++
	return r.NextMail - 1
}

// keep stores mail under a number; at most so many bytes of it stand in the entry itself.
func keep(s Store, a Address, r *Record, m *Mail, number uint64, inline int) {
	arrive(s, a, r, m)
	m.Number = number
	r.Stored++
	if r.Entity != nil {
		r.StoredBytes += payloadOf(m)
	}
	m.Pieces = setRowWithin(s, a.inboxKey(number), history.EncodeEvents([]history.Event{m.Event}), inline)
}

// clearInbox deletes all stored mail, and no row of an execution that goes on with the
// numbers, in both directions.
func clearInbox(s Store, a Address, r *Record) error {
	for _, numbers := range [][2]uint64{{0, middleMail / 2}, {middleMail - uint64(r.Before), r.NextMail}} {
		if numbers[0] < numbers[1] {
			if err := deleteAll(s, a.inboxKey(numbers[0]), a.inboxKey(min(numbers[1], r.NextMail))); err != nil {
				return err
			}
		}
	}
	r.Stored = 0
	return nil
}

// arrive notes what stays of mail that is recorded, in the inbox or in the history.
func arrive(s Store, a Address, r *Record, m *Mail) {
	switch b := m.Event.Body.(type) {
	case *history.UpdateRequested:
		accept(s, a, r, b)
	case *history.ExecutionCancelRequested:
		if r.CancelRequested.IsZero() {
			r.CancelRequested, r.CancelReason = m.Event.Time, b.Reason
		}
	}
}

// payloadOf returns how many bytes of payload mail has.
func payloadOf(m *Mail) int64 { return int64(len(history.PayloadOf(m.Event.Body))) }

var readyValue = []byte{pack.Version, pack.Flags}

// ReadInbox returns the stored mail of an instance, oldest first.
func ReadInbox(r Reader, a Address) ([]*Mail, error) {
	var mail []*Mail
	from := a.key(TableInbox, 0)
	err := scanRows(r, from, after(from), func(row, data []byte, pieces int) (bool, error) {
		events, err := history.DecodeEvents(data)
		if err != nil {
			return false, err
		}
		if len(events) != 1 {
			return false, fmt.Errorf("%w: row of the inbox with %d events", pack.ErrMalformed, len(events))
		}
		mail = append(mail, &Mail{Event: events[0], Number: binary.BigEndian.Uint64(row[len(row)-8:]), Pieces: pieces})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read inbox of %s: %w", a, err)
	}
	return mail, nil
}

// consume deletes the row that mail comes from: its row of the inbox, or the
// pending activity or timer that it tells of.
func consume(s Store, a Address, r *Record, m *Mail) error {
	if m.Number != 0 {
		deleteRow(s, a.inboxKey(m.Number), m.Pieces)
		r.Stored--
		r.StoredBytes = max(r.StoredBytes-payloadOf(m), 0) // records of older writers do not count it
		return nil
	}
	if m.Sent != 0 {
		Taken(s, a.Partition, m)
	}
	if m.Signal != nil {
		removeSignal(s, a, r, m)
	}
	switch body := m.Event.Body.(type) {
	case *history.TaskCompleted:
		return removeActivity(s, a, r, body.TaskID)
	case *history.TaskFailed:
		return removeActivity(s, a, r, body.TaskID)
	case *history.TimerFired:
		return removeTimer(s, a, r, body.TimerID)
	case *history.SubOrchestrationInstanceCompleted:
		return removeChild(s, a, r, body.TaskID)
	case *history.SubOrchestrationInstanceFailed:
		return removeChild(s, a, r, body.TaskID)
	case *history.EntityOperationCompleted:
		return removeCall(s, a, r, body.TaskID)
	case *history.EntityOperationFailed:
		return removeCall(s, a, r, body.TaskID)
	case *history.EntityLockGranted:
		return enterSection(s, a, body.TaskID)
	}
	return nil
}

// removeActivity deletes a pending activity with its timers and its progress, if it
// is there.
func removeActivity(s Store, a Address, r *Record, taskID int32) error {
	key := a.ActivityKey(taskID)
	value, err := s.Get(key)
	if err != nil || value == nil {
		return err
	}
	activity, err := pendingOf(value)
	if err != nil {
		return err
	}
	for _, t := range activity.Timers(a, taskID) {
		s.Delete(t.Key())
	}
	if activity.Progress {
		s.Delete(a.progressKey(taskID))
	}
	s.Delete(key)
	r.Activities--
	if activity.limited() && r.Limited > 0 { // records of older writers do not count them
		r.Limited--
	}
	return nil
}

// removeTimer deletes an armed timer, if it is there.
func removeTimer(s Store, a Address, r *Record, timerID int32) error {
	key := a.timerOfKey(timerID)
	value, err := s.Get(key)
	if err != nil || value == nil {
		return err
	}
	due, err := decodeDue(value)
	if err != nil {
		return err
	}
	s.Delete(Timer{Due: due, Address: a, Kind: UserTimer, ID: timerID}.Key())
	s.Delete(key)
	r.Timers--
	return nil
}
