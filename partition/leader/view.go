package leader

import (
	"bytes"
	"errors"
	"fmt"
	"sort"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/partition"
)

// applied reads what the replica has applied.
type applied struct{ pebble.Reader }

// Get implements partition.Reader.
func (s applied) Get(key []byte) ([]byte, error) {
	value, closer, err := s.Reader.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the state: %w", err)
	}
	value = append(make([]byte, 0, len(value)), value...)
	return value, closer.Close()
}

// Scan implements partition.Reader.
func (s applied) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	it, err := s.Reader.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return fmt.Errorf("scan the state: %w", err)
	}
	return scan(it, fn)
}

// scan calls fn with the rows of an iterator until it returns false, and closes it.
func scan(it *pebble.Iterator, fn func(key, value []byte) bool) error {
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if !fn(it.Key(), value) {
			break
		}
	}
	return errors.Join(it.Error(), it.Close())
}

// view is the state as the loop sees it: what is applied, and over it what this
// reign has written since. It implements partition.Store. Writes go to the entry
// under construction.
type view struct {
	state applied
	// rows holds every row of every entry that is not applied yet, by key.
	rows map[string]unapplied
	// gone holds the ranges that these entries delete.
	gone []span
	// open is the entry under construction; ahead one that goes before it.
	open  *entry
	ahead *entry
	// counts follows what is written.
	counts counts
	// full is called when ahead has grown to the size of an entry.
	full func()
	max  int
}

type unapplied struct {
	value []byte // nil: deleted
	by    *entry // the newest that writes the row
}

type span struct {
	from, to string
	by       *entry
}

// Get implements partition.Reader.
func (v *view) Get(key []byte) ([]byte, error) {
	if r, ok := v.rows[string(key)]; ok {
		return r.value, nil
	}
	if v.covered(key) {
		return nil, nil
	}
	return v.state.Get(key)
}

func (v *view) covered(key []byte) bool {
	for _, s := range v.gone {
		if string(key) >= s.from && string(key) < s.to {
			return true
		}
	}
	return false
}

// Scan implements partition.Reader.
func (v *view) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	keys := v.unappliedKeys(from, to)
	more := true
	// before passes the unapplied rows up to a key on.
	before := func(key []byte) (same bool) {
		for more && len(keys) > 0 {
			cmp := -1
			if key != nil {
				cmp = bytes.Compare([]byte(keys[0]), key)
			}
			if cmp > 0 {
				return false
			}
			k := keys[0]
			keys = keys[1:]
			if value := v.rows[k].value; value != nil {
				more = fn([]byte(k), value)
			}
			if cmp == 0 {
				return true
			}
		}
		return false
	}
	err := v.state.Scan(from, to, func(key, value []byte) bool {
		if before(key) || !more {
			return more
		}
		if !v.covered(key) {
			more = fn(key, value)
		}
		return more
	})
	if err != nil {
		return err
	}
	before(nil)
	return nil
}

func (v *view) unappliedKeys(from, to []byte) []string {
	var keys []string
	for k := range v.rows {
		if k >= string(from) && k < string(to) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	return keys
}

// Set implements partition.Store.
func (v *view) Set(key, value []byte) {
	v.counts.wrote(key, 1)
	v.set(v.open, key, value)
}

func (v *view) set(e *entry, key, value []byte) {
	_ = e.batch.Set(key, value, nil) // into memory; cannot fail
	v.note(e, string(key), value)
}

// Delete implements partition.Store.
func (v *view) Delete(key []byte) {
	v.counts.wrote(key, -1)
	_ = v.open.batch.Delete(key, nil) // likewise
	v.note(v.open, string(key), nil)
}

func (v *view) note(e *entry, key string, value []byte) {
	v.rows[key] = unapplied{value, e}
	e.keys = append(e.keys, key)
}

// DeleteRange implements partition.Store.
func (v *view) DeleteRange(from, to []byte) {
	_ = v.open.batch.DeleteRange(from, to, nil) // likewise
	for k := range v.rows {
		if k >= string(from) && k < string(to) {
			v.note(v.open, k, nil)
		}
	}
	v.gone = append(v.gone, span{string(from), string(to), v.open})
}

// Ahead implements partition.Store.
func (v *view) Ahead(key, value []byte) {
	if v.ahead == nil {
		v.ahead = &entry{}
	}
	v.set(v.ahead, key, value)
	if v.ahead.size() >= v.max {
		v.full()
	}
}

// forget drops what an entry wrote, now that it is applied.
func (v *view) forget(e *entry) {
	for _, k := range e.keys {
		if v.rows[k].by == e {
			delete(v.rows, k)
		}
	}
	for len(v.gone) > 0 && v.gone[0].by == e {
		v.gone = v.gone[1:]
	}
}

var _ partition.Store = (*view)(nil)
