package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/reprise-run/reprise/internal/pack"
)

// A long row is split in pieces: the key of a piece is the key of the row and
// the piece's number in two bytes. The value of the first piece tells how many
// there are. All but the first are written ahead of the entry that writes the
// first, with a marker in the unfinished table; the entry that writes the first
// deletes the marker. A marker that a new leader finds belongs to a row whose
// entry never came: [Sweep] deletes what is there of it.

const (
	// rowBytes is the longest row that is not split.
	rowBytes = 256 << 10
	// pieceBytes is the length of a piece.
	pieceBytes = 128 << 10

	rowVersion = 1
	rowFlags   = 0
	rowHeader  = 4 // version, flags, number of pieces
)

func pieceKey(row []byte, n int) []byte {
	key := make([]byte, 0, len(row)+2)
	return binary.BigEndian.AppendUint16(append(key, row...), uint16(n))
}

func pieceValue(pieces int, data []byte) []byte {
	v := make([]byte, 0, rowHeader+len(data))
	v = append(v, rowVersion, rowFlags)
	v = binary.BigEndian.AppendUint16(v, uint16(pieces))
	return append(v, data...)
}

func unfinishedKey(partition uint32, row []byte) []byte {
	return append(tableKey(partition, TableUnfinished, len(row)), row[tableHeader-1:]...)
}

// Inline returns how many bytes of a row of that length stand in the entry itself.
func Inline(length int) int {
	if length > rowBytes {
		return pieceBytes
	}
	return length
}

// setRow writes a row and returns the number of its pieces. It keeps row.
func setRow(s Store, row, data []byte) int { return setRowWithin(s, row, data, rowBytes) }

// setRowWithin is setRow where the entry itself has room for so many bytes of the row.
func setRowWithin(s Store, row, data []byte, inline int) int {
	if len(data) <= inline {
		s.Set(binary.BigEndian.AppendUint16(row, 0), pieceValue(1, data))
		return 1
	}
	first := min(inline, pieceBytes)
	pieces := 1 + (len(data)-first+pieceBytes-1)/pieceBytes
	marker := unfinishedKey(binary.BigEndian.Uint32(row), row)
	s.Ahead(marker, []byte{rowVersion, rowFlags})
	for n := 1; n < pieces; n++ {
		begin := first + (n-1)*pieceBytes
		s.Ahead(pieceKey(row, n), pieceValue(pieces, data[begin:min(begin+pieceBytes, len(data))]))
	}
	s.Set(pieceKey(row, 0), pieceValue(pieces, data[:first]))
	s.Delete(marker)
	return pieces
}

// deleteRow deletes a row of so many pieces.
func deleteRow(s Store, row []byte, pieces int) {
	for n := range pieces {
		s.Delete(pieceKey(row, n))
	}
}

// rowReader puts pieces together, in the order of their keys.
type rowReader struct {
	row    []byte // of the row under way
	pieces int
	data   []byte
	next   int
}

// add takes a piece. It returns the row's key, data and number of pieces when
// the row is complete.
func (r *rowReader) add(key, value []byte) (row, data []byte, pieces int, err error) {
	if len(key) < 2 || len(value) < rowHeader {
		return nil, nil, 0, fmt.Errorf("%w: piece of a row with %d bytes", pack.ErrMalformed, len(value))
	}
	if value[0] != rowVersion || value[1] != rowFlags {
		return nil, nil, 0, fmt.Errorf("row has version %d and flags %#x; this program knows version %d", value[0], value[1], rowVersion)
	}
	row, n := key[:len(key)-2], int(binary.BigEndian.Uint16(key[len(key)-2:]))
	if n == 0 {
		r.row = append(r.row[:0], row...)
		r.pieces = int(binary.BigEndian.Uint16(value[2:]))
		r.data = append([]byte(nil), value[rowHeader:]...)
		r.next = 1
	} else {
		if n != r.next || string(row) != string(r.row) {
			return nil, nil, 0, nil // of a row that was not finished
		}
		r.data = append(r.data, value[rowHeader:]...)
		r.next++
	}
	if r.next != r.pieces {
		return nil, nil, 0, nil
	}
	r.next = -1
	return r.row, r.data, r.pieces, nil
}

// readRow returns a row's data, or nil where there is no such row. One that is
// known by its key is got: a scan is dearer by an iterator.
func readRow(r Reader, row []byte) ([]byte, error) {
	var rows rowReader
	for n := 0; ; n++ {
		key := pieceKey(row, n)
		value, err := r.Get(key)
		if err != nil || value == nil && n == 0 {
			return nil, err
		}
		whole, data, _, err := rows.add(key, value)
		if err != nil || whole != nil {
			return data, err
		}
	}
}

// scanRows calls fn with the complete rows between two keys.
func scanRows(r Reader, from, to []byte, fn func(row, data []byte, pieces int) (bool, error)) error {
	var rows rowReader
	var failed error
	err := r.Scan(from, to, func(key, value []byte) bool {
		row, data, pieces, err := rows.add(key, value)
		if err == nil && row == nil {
			return true
		}
		more := false
		if err == nil {
			more, err = fn(row, data, pieces)
		}
		failed = err
		return more && err == nil
	})
	if err != nil {
		return err
	}
	return failed
}

// Sweep deletes what is left of rows whose entry never came. A new leader calls
// it before anything else.
func Sweep(s Store, partition uint32) error {
	from, to := TableRange(partition, TableUnfinished)
	var markers [][]byte
	err := s.Scan(from, to, func(key, _ []byte) bool {
		markers = append(markers, append([]byte(nil), key...))
		return true
	})
	if err != nil {
		return err
	}
	for _, marker := range markers {
		row := binary.BigEndian.AppendUint32(nil, partition)
		row = append(row, marker[tableHeader:]...)
		if err := deleteAll(s, pieceKey(row, 0), after(row)); err != nil {
			return err
		}
		s.Delete(marker)
	}
	return nil
}
