package partition

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Signal names a scheduled operation of an entity: it is kept in a row of its own,
// and becomes mail when it is due by the partition's clock.
type Signal struct {
	ID  int32
	Due time.Time
}

// signalKey is the key of a scheduled operation, without the number of its piece.
func (a Address) signalKey(id int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableSignals, 4+2), uint32(id))
}

// ScheduleSignal keeps an operation of an entity until it is due.
func ScheduleSignal(s Store, a Address, r *Record, m *Mail) (Timer, error) {
	if err := consume(s, a, r, m); err != nil {
		return Timer{}, err
	}
	body := m.Event.Body.(*history.EntityOperationSignaled)
	t := Timer{Due: fromNanos(nanos(body.ScheduledTime)), Address: a, Kind: SignalTimer, ID: r.Entity.NextSignal}
	r.Entity.NextSignal++
	r.Entity.Scheduled++
	r.ScheduledBytes += payloadOf(m)
	setRow(s, a.signalKey(t.ID), history.EncodeEvents([]history.Event{m.Event}))
	arm(s, t)
	writeEntity(s, a, r)
	return t, nil
}

// ReadSignal returns a scheduled operation as mail, or nil where there is none of that
// number.
func ReadSignal(r Reader, a Address, id int32, due time.Time) (*Mail, error) {
	var m *Mail
	from := a.signalKey(id)
	err := scanRows(r, from, after(from), func(_, data []byte, pieces int) (bool, error) {
		events, err := history.DecodeEvents(data)
		if err == nil && len(events) != 1 {
			err = fmt.Errorf("%w: row of a scheduled operation with %d events", pack.ErrMalformed, len(events))
		}
		if err == nil {
			m = &Mail{Event: events[0], Signal: &Signal{id, due}, Pieces: pieces}
		}
		return false, err
	})
	if err != nil {
		return nil, fmt.Errorf("read scheduled operation %d of %s: %w", id, a, err)
	}
	return m, nil
}

// removeSignal deletes the rows of a scheduled operation that has become mail.
func removeSignal(s Store, a Address, r *Record, m *Mail) {
	deleteRow(s, a.signalKey(m.Signal.ID), m.Pieces)
	s.Delete(Timer{Due: m.Signal.Due, Address: a, Kind: SignalTimer, ID: m.Signal.ID}.Key())
	r.Entity.Scheduled--
	r.ScheduledBytes = max(r.ScheduledBytes-payloadOf(m), 0) // as for what is stored
	m.Signal, m.Pieces = nil, 0
}
