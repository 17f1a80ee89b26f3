package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
)

// record is what a replica knows about what it has applied. It is one row, and
// travels in the batch of the state that it describes.
type record struct {
	epoch    uint64
	sequence uint64 // of the newest accepted write of the epoch
	applied  uint64 // newest log index that is in the state
	hash     uint64 // over all commands up to applied, refused ones too
}

const (
	recordVersion = 1
	recordBytes   = 1 + 4*8
)

func (r record) encode() []byte {
	b := make([]byte, 0, recordBytes)
	b = append(b, recordVersion)
	b = binary.BigEndian.AppendUint64(b, r.epoch)
	b = binary.BigEndian.AppendUint64(b, r.sequence)
	b = binary.BigEndian.AppendUint64(b, r.applied)
	return binary.BigEndian.AppendUint64(b, r.hash)
}

func decodeRecord(b []byte) (record, error) {
	if len(b) < 1 {
		return record{}, errors.New("applied record is empty")
	}
	if b[0] > recordVersion {
		return record{}, fmt.Errorf("applied record has version %d: %w", b[0], ErrNewerFormat)
	}
	if b[0] != recordVersion || len(b) != recordBytes {
		return record{}, fmt.Errorf("applied record has version %d and %d bytes", b[0], len(b))
	}
	return record{
		epoch:    binary.BigEndian.Uint64(b[1:]),
		sequence: binary.BigEndian.Uint64(b[9:]),
		applied:  binary.BigEndian.Uint64(b[17:]),
		hash:     binary.BigEndian.Uint64(b[25:]),
	}, nil
}

// readRecord returns the record of a group, zero if it has none.
func readRecord(r pebble.Reader, g GroupID) (record, error) {
	value, closer, err := r.Get(recordKey(g))
	if errors.Is(err, pebble.ErrNotFound) {
		return record{}, nil
	}
	if err != nil {
		return record{}, fmt.Errorf("read applied record of group %d: %w", g, err)
	}
	defer closer.Close()
	rec, err := decodeRecord(value)
	if err != nil {
		return record{}, fmt.Errorf("group %d: %w", g, err)
	}
	return rec, nil
}

// rollHash takes one more command into a rolling hash.
func rollHash(hash, index, term uint64, command []byte) uint64 {
	var head [24]byte
	binary.BigEndian.PutUint64(head[0:], hash)
	binary.BigEndian.PutUint64(head[8:], index)
	binary.BigEndian.PutUint64(head[16:], term)
	var d xxhash.Digest
	d.Reset()
	_, _ = d.Write(head[:]) // never fails
	_, _ = d.Write(command)
	return d.Sum64()
}
