package history

import (
	"fmt"

	"github.com/reprise-run/reprise/internal/pack"
)

// EncodeEpisode returns the form in which an episode goes from the node that ran it
// to the leader.
func EncodeEpisode(e Episode) []byte {
	decided := EncodeEvents(e.Decided)
	carried := make([]Event, len(e.Carried))
	for i, b := range e.Carried {
		carried[i] = Event{ID: NoID, Body: b}
	}
	w := pack.NewWriter(64+len(decided)+len(e.CustomStatus), 5)
	w.Binary(decided)
	w.Binary(e.CustomStatus)
	w.Array(len(e.Awaits))
	for _, name := range e.Awaits {
		w.String(name)
	}
	w.Int(int64(e.Buffered))
	w.Binary(EncodeEvents(carried))
	return w.Bytes()
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
		default:
			r.Skip() // of a newer writer
		}
	}
	err := r.Err()
	if err == nil {
		e.Decided, err = DecodeEvents(decided)
	}
	if err == nil {
		e.Carried, err = decodeCarried(carried)
	}
	if err != nil {
		return Episode{}, fmt.Errorf("decode episode: %w", err)
	}
	return e, nil
}

func decodeCarried(data []byte) ([]*EventRaised, error) {
	events, err := DecodeEvents(data)
	if err != nil {
		return nil, err
	}
	var carried []*EventRaised
	for _, e := range events {
		b, ok := e.Body.(*EventRaised)
		if !ok {
			return nil, fmt.Errorf("%w: %s is carried to the next execution", pack.ErrMalformed, Describe(e))
		}
		carried = append(carried, b)
	}
	return carried, nil
}
