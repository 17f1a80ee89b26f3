package partition

import "encoding/binary"

// Reader reads rows. Keys and values that it returns must not be modified.
type Reader interface {
	// Get returns the value of a key, or nil where there is none.
	Get(key []byte) ([]byte, error)
	// Scan calls fn with the rows from ≤ key < to in the order of keys, until fn
	// returns false. fn may keep neither key nor value, and may not write.
	Scan(from, to []byte, fn func(key, value []byte) bool) error
}

// Store reads and writes rows. What was written is read back at once. Writes
// since the last commit become one entry of the log. The store keeps keys and
// values; the caller does not change them afterwards.
type Store interface {
	Reader
	Set(key, value []byte)
	Delete(key []byte)
	DeleteRange(from, to []byte)
	// Ahead writes a row in an entry of its own (or several), committed before the
	// entry under construction. Until that entry is committed, nothing refers to
	// the row.
	Ahead(key, value []byte)
}

// readNumbered calls fn with the rows that an instance has in a table whose keys end with
// a number, in the order of the numbers, until it returns false.
func readNumbered[T any](r Reader, a Address, t Table, decode func(value []byte) (T, error), fn func(int32, T) bool) error {
	from := a.key(t, 0)
	var failed error
	err := r.Scan(from, after(from), func(key, value []byte) bool {
		row, err := decode(value)
		if err != nil {
			failed = err
			return false
		}
		return fn(int32(binary.BigEndian.Uint32(key[len(key)-4:])), row)
	})
	if err != nil {
		return err
	}
	return failed
}

// numbers returns the numbers of such rows.
func numbers[T any](r Reader, a Address, read func(Reader, Address, func(int32, T) bool) error) (ids []int32, err error) {
	err = read(r, a, func(id int32, _ T) bool {
		ids = append(ids, id)
		return true
	})
	return ids, err
}

// rangeLimit is the number of rows above which a range is deleted as such and
// not row by row: range tombstones are dear to read past.
const rangeLimit = 64

// deleteAll deletes the rows from ≤ key < to.
func deleteAll(s Store, from, to []byte) error {
	var keys [][]byte
	err := s.Scan(from, to, func(key, _ []byte) bool {
		keys = append(keys, append([]byte(nil), key...))
		return len(keys) <= rangeLimit
	})
	if err != nil {
		return err
	}
	if len(keys) > rangeLimit {
		s.DeleteRange(from, to)
		return nil
	}
	for _, key := range keys {
		s.Delete(key)
	}
	return nil
}
