package leader

import (
	"bytes"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// instant reads what the replica has applied at one moment, that of the first read: all
// rows are of the same entries, whatever is applied meanwhile. It is not safe for
// concurrent use, and must be closed. It implements partition.Reader.
type instant struct {
	state applied
	// at is where rows are looked up; it holds the moment. Nil before the first read.
	at *pebble.Iterator
}

func (s *instant) begin() error {
	if s.at != nil {
		return nil
	}
	it, err := s.state.NewIter(nil)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	s.at = it
	return nil
}

// Get implements partition.Reader.
func (s *instant) Get(key []byte) ([]byte, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	if !s.at.SeekGE(key) || !bytes.Equal(s.at.Key(), key) {
		if err := s.at.Error(); err != nil {
			return nil, fmt.Errorf("read the state: %w", err)
		}
		return nil, nil
	}
	value, err := s.at.ValueAndErr()
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	return append(make([]byte, 0, len(value)), value...), nil
}

// Scan implements partition.Reader.
func (s *instant) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	if err := s.begin(); err != nil {
		return err
	}
	it, err := s.at.Clone(pebble.CloneOptions{IterOptions: &pebble.IterOptions{LowerBound: from, UpperBound: to}})
	if err != nil {
		return fmt.Errorf("scan the state: %w", err)
	}
	return scan(it, fn)
}

func (s *instant) close() error {
	if s.at == nil {
		return nil
	}
	return s.at.Close()
}
