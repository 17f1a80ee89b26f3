package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// ReadHistory calls fn with the recorded episodes of an execution, from number
// from on, up to but not including to, until fn returns false. data is the
// stored form of the episode's events.
func ReadHistory(r Reader, a Address, e history.ExecutionID, from, to int64, fn func(episode int64, data []byte) (bool, error)) error {
	return scanRows(r, a.historyKey(e, from), a.historyKey(e, to), func(row, data []byte, _ int) (bool, error) {
		return fn(int64(binary.BigEndian.Uint64(row[len(row)-8:])), data)
	})
}

// ReadEpisode returns the events of one recorded episode, or nil where there is
// no such row.
func ReadEpisode(r Reader, a Address, e history.ExecutionID, episode int64) ([]history.Event, error) {
	data, err := readRow(r, a.historyKey(e, episode))
	if err != nil || data == nil {
		return nil, err
	}
	events, err := history.DecodeEvents(data)
	if err != nil {
		return nil, fmt.Errorf("read episode %d of %s: %w", episode, a, err)
	}
	return events, nil
}

// deleteHistory deletes the history of an execution.
func deleteHistory(s Store, a Address, e history.ExecutionID) error {
	from := append(append(a.key(TableHistory, len(e)+1), e...), 0)
	return deleteAll(s, from, after(from))
}

// ReadRecord returns the record of an instance, or nil where there is none.
func ReadRecord(r Reader, a Address) (*Record, error) {
	value, err := r.Get(a.RecordKey())
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a, err)
	}
	if value == nil {
		return nil, nil
	}
	record, err := DecodeRecord(value)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", a, err)
	}
	return record, nil
}

// ReadCustomStatus returns the custom status of an instance, or nil.
func ReadCustomStatus(r Reader, a Address) (history.Payload, error) {
	return readRow(r, a.customStatusKey())
}
