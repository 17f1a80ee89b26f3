package history

import (
	"fmt"

	"github.com/reprise-run/reprise/internal/pack"
)

// EncodeEpisode returns the form in which an episode goes from the node that ran it
// to the leader.
func EncodeEpisode(e Episode) []byte {
	decided := EncodeEvents(e.Decided)
	fields := 8
	if len(e.Taken) > 0 {
		fields = 9
	}
	w := pack.NewWriter(64+len(decided)+len(e.CustomStatus), fields)
	w.Binary(decided)
	w.Binary(e.CustomStatus)
	w.Array(len(e.Awaits))
	for _, name := range e.Awaits {
		w.String(name)
	}
	w.Int(int64(e.Buffered))
	w.Binary(EncodeEvents(e.carried()))
	w.Array(len(e.Updates))
	for _, name := range e.Updates {
		w.String(name)
	}
	writeUnrecorded(w, e.Unrecorded)
	writeChangedTags(w, e.Tags)
	if len(e.Taken) > 0 {
		writeTaken(w, e.Taken)
	}
	return w.Bytes()
}

func writeTaken(w *pack.Writer, all []TakenEvent) {
	w.Array(len(all))
	for _, e := range all {
		w.Array(5)
		w.Int(int64(e.Number))
		w.String(e.Name)
		w.Time(e.Arrived)
		w.String(e.Trace.Parent)
		w.String(e.Trace.State)
	}
}

func readTaken(r *pack.Reader) []TakenEvent {
	var all []TakenEvent
	for n := r.Array(); n > 0 && r.Err() == nil; n-- {
		expect(r, 5)
		all = append(all, TakenEvent{Number: int(r.Int()), Name: r.String(), Arrived: r.Time(), Trace: readTrace(r, true)})
	}
	return all
}

// DecodeEpisode reads what [EncodeEpisode] wrote.
func DecodeEpisode(data []byte) (Episode, error) {
	r := pack.NewReader(data)
	var e Episode
	var decided, carried []byte
	for i := 0; r.Next(); i++ {
		switch i {
		case 0:
			decided = r.Binary()
		case 1:
			e.CustomStatus = r.Binary()
		case 2:
			for n := r.Array(); n > 0 && r.Err() == nil; n-- {
				e.Awaits = append(e.Awaits, r.String())
			}
		case 3:
			e.Buffered = int(r.Int())
		case 4:
			carried = r.Binary()
		case 5:
			for n := r.Array(); n > 0 && r.Err() == nil; n-- {
				e.Updates = append(e.Updates, r.String())
			}
		case 6:
			e.Unrecorded = readUnrecorded(r)
		case 7:
			e.Tags = readChangedTags(r)
		case 8:
			e.Taken = readTaken(r)
		default:
			r.Skip() // of a newer writer
		}
	}
	err := r.Err()
	if err == nil {
		e.Decided, err = DecodeEvents(decided)
	}
	if err == nil {
		err = e.carry(carried)
	}
	if err != nil {
		return Episode{}, fmt.Errorf("decode episode: %w", err)
	}
	return e, nil
}

// carried is what the next execution is to get, as events.
func (e *Episode) carried() []Event {
	var events []Event
	for _, b := range e.Carried {
		events = append(events, Event{ID: NoID, Body: b})
	}
	if e.Cancel != nil {
		events = append(events, Event{ID: NoID, Body: e.Cancel})
	}
	for _, b := range e.CarriedUpdates {
		events = append(events, Event{ID: NoID, Body: b})
	}
	return events
}

// carry reads what carried returned, in stored form.
func (e *Episode) carry(data []byte) error {
	events, err := DecodeEvents(data)
	if err != nil {
		return err
	}
	for _, event := range events {
		switch b := event.Body.(type) {
		case *EventRaised:
			e.Carried = append(e.Carried, b)
		case *ExecutionCancelRequested:
			e.Cancel = b
		case *UpdateRequested:
			e.CarriedUpdates = append(e.CarriedUpdates, b)
		default:
			return fmt.Errorf("%w: %s is carried to the next execution", pack.ErrMalformed, Describe(event))
		}
	}
	return nil
}
