package partition

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// TimerKind says what a timer is for. Numbers are stored.
type TimerKind byte

// The kinds of timers.
const (
	UserTimer  TimerKind = 1 // a TimerCreated of an orchestrator; ID is the event's
	RetryTimer TimerKind = 2 // the next attempt of an activity; ID is the task's
	StartTimer TimerKind = 3 // a scheduled start
	// SignalTimer is for a scheduled operation of an entity; ID is its number.
	SignalTimer TimerKind = 4

	// Of pending activities; ID is the task's.
	OutsideTimer TimerKind = 16 // the attempt that is completed from outside times out
	StartByTimer TimerKind = 17 // no node has begun an attempt for too long
	CloseByTimer TimerKind = 18 // all attempts together took too long
)

// Timer is a row of the table of timers; all of it stands in the key.
type Timer struct {
	Due     time.Time
	Address Address
	Kind    TimerKind
	ID      int32
}

var timerValue = []byte{pack.Version, pack.Flags}

// Key is the key of the timer's row. Keys sort by due time.
func (t Timer) Key() []byte {
	key := tableKey(t.Address.Partition, TableTimers, 8+len(t.Address.path)+5)
	key = appendTime(key, t.Due)
	key = append(key, t.Address.path...)
	key = append(key, byte(t.Kind))
	return binary.BigEndian.AppendUint32(key, uint32(t.ID))
}

// ParseTimer reads the key of a timer's row.
func ParseTimer(key []byte) (Timer, error) {
	if len(key) < tableHeader+8 {
		return Timer{}, fmt.Errorf("timer key %q is too short", key)
	}
	t := Timer{Due: timeOfKey(key[tableHeader : tableHeader+8])}
	var rest []byte
	var err error
	t.Address, rest, err = parseAddress(binary.BigEndian.Uint32(key), key[tableHeader+8:])
	if err != nil {
		return t, err
	}
	if len(rest) != 5 {
		return t, fmt.Errorf("timer key of %s has %d bytes behind the instance", t.Address, len(rest))
	}
	t.Kind = TimerKind(rest[0])
	t.ID = int32(binary.BigEndian.Uint32(rest[1:]))
	return t, nil
}

func arm(s Store, t Timer) { s.Set(t.Key(), timerValue) }

// startTimer arms a timer of the orchestrator.
func startTimer(s Store, a Address, r *Record, id int32, b *history.TimerCreated, fx *Effects) {
	timer := Timer{Due: fromNanos(nanos(b.FireAt)), Address: a, Kind: UserTimer, ID: id}
	arm(s, timer)
	s.Set(a.timerOfKey(id), encodeDue(timer.Due))
	r.Timers++
	fx.Armed = append(fx.Armed, timer)
}

// cancelTimer deletes a timer, and its firing if that waits to be taken.
func cancelTimer(s Store, a Address, r *Record, b *history.TimerCanceled, rest []*Mail, fx *Effects) error {
	if err := removeTimer(s, a, r, b.TimerID); err != nil {
		return err
	}
	return drop(s, a, r, rest, fx, func(body history.Body) bool {
		fired, ok := body.(*history.TimerFired)
		return ok && fired.TimerID == b.TimerID
	})
}

func encodeDue(due time.Time) []byte {
	p := pack.NewWriter(16, 1)
	p.Time(due)
	return p.Bytes()
}

func decodeDue(value []byte) (time.Time, error) {
	u := pack.NewReader(value)
	var due time.Time
	if u.Next() {
		due = u.Time()
	}
	return due, u.Err()
}

// ReadTimers calls fn with the armed timers of an instance in the order of
// their IDs until it returns false.
func ReadTimers(r Reader, a Address, fn func(timerID int32, due time.Time) bool) error {
	return readNumbered(r, a, TableTimersOf, decodeDue, fn)
}

// ReadActivities calls fn with the pending activities of an instance in the
// order of their IDs until it returns false.
func ReadActivities(r Reader, a Address, fn func(taskID int32, activity *Activity) bool) error {
	return readNumbered(r, a, TableActivities, DecodeActivity, fn)
}
