package raftlog

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// MaxEntryBytes is the largest batch that may be proposed.
const MaxEntryBytes = 48 << 20

// entryVersion is the version of the commands that this code writes and knows.
const entryVersion = 1

// entryKind says what a command does.
type entryKind uint8

const (
	// kindOpen begins an epoch: its log index becomes the epoch, and the
	// sequence number starts again. It carries a nonce, by which its proposer
	// knows it.
	kindOpen entryKind = 1
	// kindWrite carries a Pebble batch.
	kindWrite entryKind = 2
	// kindRecover begins a lineage. It raises the epoch by a step, because leaders
	// beyond the end of the log that was recovered may have opened others.
	kindRecover entryKind = 3
)

// A command is one version byte, one kind byte, and
//
//	open:    nonce (16 bytes)
//	write:   epoch (8), sequence number (8), Repr of a Pebble batch
//	recover: step of the epoch (8)
//
// All integers are big-endian.
const (
	openBytes        = 2 + 16
	writeHeaderBytes = 2 + 8 + 8
	recoverBytes     = 2 + 8
)

// nonce tells one Open from all others.
type nonce [16]byte

// entry is a decoded command.
type entry struct {
	kind     entryKind
	nonce    nonce
	epoch    uint64
	sequence uint64
	batch    []byte
	step     uint64
}

func encodeOpen(n nonce) []byte {
	return append([]byte{entryVersion, byte(kindOpen)}, n[:]...)
}

func encodeWrite(epoch, sequence uint64, batch []byte) []byte {
	b := make([]byte, writeHeaderBytes, writeHeaderBytes+len(batch))
	b[0], b[1] = entryVersion, byte(kindWrite)
	binary.BigEndian.PutUint64(b[2:], epoch)
	binary.BigEndian.PutUint64(b[10:], sequence)
	return append(b, batch...)
}

func encodeRecover(step uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{entryVersion, byte(kindRecover)}, step)
}

// decodeEntry reads a command. The batch aliases b. An error means that this
// replica must stop: other replicas may understand the entry.
func decodeEntry(b []byte) (entry, error) {
	if len(b) < 2 {
		return entry{}, fmt.Errorf("entry has %d bytes", len(b))
	}
	if b[0] != entryVersion {
		return entry{}, fmt.Errorf("entry has version %d, this node knows %d: start a newer version of the program on this node", b[0], entryVersion)
	}
	switch kind := entryKind(b[1]); kind {
	case kindOpen:
		if len(b) != openBytes {
			return entry{}, fmt.Errorf("open entry has %d bytes", len(b))
		}
		return entry{kind: kind, nonce: nonce(b[2:])}, nil
	case kindWrite:
		if len(b) < writeHeaderBytes {
			return entry{}, fmt.Errorf("write entry has %d bytes", len(b))
		}
		return entry{
			kind:     kind,
			epoch:    binary.BigEndian.Uint64(b[2:]),
			sequence: binary.BigEndian.Uint64(b[10:]),
			batch:    b[writeHeaderBytes:],
		}, nil
	case kindRecover:
		if len(b) != recoverBytes {
			return entry{}, fmt.Errorf("recover entry has %d bytes", len(b))
		}
		return entry{kind: kind, step: binary.BigEndian.Uint64(b[2:])}, nil
	default:
		return entry{}, fmt.Errorf("entry has unknown kind %d: start a newer version of the program on this node", kind)
	}
}

// checkBatch refuses a batch that writes anything but the group's own tables.
func checkBatch(g GroupID, repr []byte) error {
	if len(repr) > MaxEntryBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are allowed", ErrTooLarge, len(repr), MaxEntryBytes)
	}
	if len(repr) < 12 {
		return fmt.Errorf("%w: %d bytes", ErrBadBatch, len(repr))
	}
	var batch pebble.Batch
	if err := batch.SetRepr(repr); err != nil {
		return fmt.Errorf("%w: %w", ErrBadBatch, err)
	}
	count := uint32(0)
	for r := batch.Reader(); ; count++ {
		kind, key, value, ok, err := r.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadBatch, err)
		}
		if !ok {
			break
		}
		if !ownKey(g, key) {
			return fmt.Errorf("%w: key %x is not of group %d", ErrBadBatch, key, g)
		}
		switch kind {
		case pebble.InternalKeyKindSet, pebble.InternalKeyKindDelete, pebble.InternalKeyKindSingleDelete, pebble.InternalKeyKindDeleteSized:
		case pebble.InternalKeyKindRangeDelete:
			if !ownKey(g, value) && string(value) != string(groupEnd(g)) {
				return fmt.Errorf("%w: range to %x leaves group %d", ErrBadBatch, value, g)
			}
		default:
			return fmt.Errorf("%w: operation %s is not allowed", ErrBadBatch, kind)
		}
	}
	if count != batch.Count() {
		return fmt.Errorf("%w: %d operations, its header says %d", ErrBadBatch, count, batch.Count())
	}
	return nil
}
