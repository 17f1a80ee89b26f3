package partition

import (
	"bytes"
	"fmt"
	"sort"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// mapStore is a store in memory that tells what was written.
type mapStore struct {
	rows  map[string][]byte
	trace []string
}

func newMapStore() *mapStore { return &mapStore{rows: map[string][]byte{}} }

func (m *mapStore) Get(key []byte) ([]byte, error) { return m.rows[string(key)], nil }

func (m *mapStore) Scan(from, to []byte, fn func(key, value []byte) bool) error {
	var keys []string
	for k := range m.rows {
		if k >= string(from) && k < string(to) {
			keys = append(keys, k)
		}
	}
	sort.Strings(keys)
	for _, k := range keys {
		if !fn([]byte(k), m.rows[k]) {
			return nil
		}
	}
	return nil
}

func (m *mapStore) Set(key, value []byte) {
	m.rows[string(key)] = value
	m.note("+ %s", Describe(key, value))
}

func (m *mapStore) Delete(key []byte) {
	delete(m.rows, string(key))
	m.note("- %s", Describe(key, nil))
}

func (m *mapStore) DeleteRange(from, to []byte) {
	for k := range m.rows {
		if k >= string(from) && k < string(to) {
			delete(m.rows, k)
		}
	}
	m.note("- range of %s", Table(from[tableHeader-1]))
}

func (m *mapStore) Ahead(key, value []byte) {
	m.rows[string(key)] = value
	m.note("ahead + %s", Describe(key, nil))
}

func (m *mapStore) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

func (m *mapStore) clone() *mapStore {
	c := newMapStore()
	for k, v := range m.rows {
		c.rows[k] = bytes.Clone(v)
	}
	return c
}

func (m *mapStore) take() string {
	text := strings.Join(m.trace, "\n")
	m.trace = nil
	return text + "\n"
}

func event(body history.Body) history.Event {
	return history.Event{ID: history.NoID, Time: at(0), Body: body}
}
