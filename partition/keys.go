package partition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Table is the byte after the partition in every key.
type Table byte

// The tables. Numbers are stored and never reused. 0 belongs to raftlog. Kept
// free: 9 for payloads, 23–31 for indexes.
const (
	TableMeta         Table = 1
	TableInstances    Table = 2
	TableHistory      Table = 3
	TableInbox        Table = 4
	TableActivities   Table = 5
	TableTimersOf     Table = 6
	TableCustomStatus Table = 7
	TableEntities     Table = 8
	TableChildren     Table = 10
	TableEntityStates Table = 11
	TableCalls        Table = 12
	TableLocks        Table = 13
	TableSignals      Table = 14
	TableUpdates      Table = 15
	TableReady        Table = 16
	TableTimers       Table = 17
	TableParked       Table = 18
	TableAnswers      Table = 19
	TableUnfinished   Table = 20
	TableOutbox       Table = 21
	TableLanes        Table = 22
	TableProgress     Table = 32
)

// tableHeader is the length of partition and table in a key.
const tableHeader = 5

// Address names an instance and knows where its rows are.
type Address struct {
	Partition uint32
	Hub       history.TaskHub
	ID        history.InstanceID
	path      string // slot, hub, 0, ID, 0
}

// NewAddress returns the address of an instance in a partition. Hub and ID hold
// no zero byte.
func NewAddress(partition uint32, hub history.TaskHub, id history.InstanceID) Address {
	path := make([]byte, 0, 4+len(hub)+len(id))
	path = binary.BigEndian.AppendUint16(path, uint16(history.SlotOf(hub, id)))
	path = append(path, hub...)
	path = append(path, 0)
	path = append(path, id...)
	path = append(path, 0)
	return Address{Partition: partition, Hub: hub, ID: id, path: string(path)}
}

// String returns "hub/instance".
func (a Address) String() string { return string(a.Hub) + "/" + string(a.ID) }

// tableKey begins a key of a table, with room for extra more bytes.
func tableKey(partition uint32, t Table, extra int) []byte {
	key := make([]byte, 0, tableHeader+extra)
	key = binary.BigEndian.AppendUint32(key, partition)
	return append(key, byte(t))
}

// key begins a key of the instance's rows, with room for extra more bytes.
func (a Address) key(t Table, extra int) []byte {
	return append(tableKey(a.Partition, t, len(a.path)+extra), a.path...)
}

// after returns the first key behind all keys that begin with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// TableRange returns the bounds of a table: from ≤ key < to.
func TableRange(partition uint32, t Table) (from, to []byte) {
	from = tableKey(partition, t, 0)
	return from, after(from)
}

// MetaKey is the key of the partition's own record.
func MetaKey(partition uint32) []byte { return tableKey(partition, TableMeta, 0) }

// RecordKey is the key of the instance's record.
func (a Address) RecordKey() []byte { return a.key(TableInstances, 0) }

// historyKey is the key of a row of history, without the number of its piece.
func (a Address) historyKey(e history.ExecutionID, episode int64) []byte {
	key := a.key(TableHistory, len(e)+1+8+2)
	key = append(key, e...)
	key = append(key, 0)
	return binary.BigEndian.AppendUint64(key, uint64(episode))
}

// inboxKey is the key of a row of the inbox, without the number of its piece.
func (a Address) inboxKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(a.key(TableInbox, 8+2), number)
}

// ActivityKey is the key of a pending activity.
func (a Address) ActivityKey(taskID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableActivities, 4), uint32(taskID))
}

func (a Address) timerOfKey(timerID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableTimersOf, 4), uint32(timerID))
}

func (a Address) childKey(taskID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableChildren, 4), uint32(taskID))
}

func (a Address) customStatusKey() []byte { return a.key(TableCustomStatus, 2) }

func (a Address) readyKey() []byte { return a.key(TableReady, 0) }

// parkedKey is the key of a parked instance: reason, name, version, address.
func (a Address) parkedKey(p Parked) []byte {
	key := parkedPrefix(a.Partition, p)
	return append(key, a.path...)
}

func parkedPrefix(partition uint32, p Parked) []byte {
	key := tableKey(partition, TableParked, 1+len(p.Name)+1+len(p.Version)+1+64)
	key = append(key, byte(p.Why))
	key = append(key, p.Name...)
	key = append(key, 0)
	key = append(key, p.Version...)
	return append(key, 0)
}

// ParkedRange returns the bounds of the instances that are parked for a reason.
func ParkedRange(partition uint32, why Why) (from, to []byte) {
	from = append(tableKey(partition, TableParked, 1), byte(why))
	return from, after(from)
}

// ParkedNameRange returns the bounds of the instances that are parked for the
// same reason, name and version.
func ParkedNameRange(partition uint32, p Parked) (from, to []byte) {
	from = parkedPrefix(partition, p)
	return from, after(from)
}

// ParseParkedKey returns which instance is parked, and for what; the reason in
// words is in its record.
func ParseParkedKey(key []byte) (a Address, p Parked, err error) {
	if len(key) < tableHeader+1 {
		return a, p, fmt.Errorf("key %q is too short for a parked instance", key)
	}
	p.Why = Why(key[tableHeader])
	rest := key[tableHeader+1:]
	if p.Name, rest, err = cut(rest); err != nil {
		return a, p, err
	}
	if p.Version, rest, err = cut(rest); err != nil {
		return a, p, err
	}
	a, _, err = parseAddress(binary.BigEndian.Uint32(key), rest)
	return a, p, err
}

// nanos is a time as it is stored: nanoseconds since 1970; 0 is the zero time.
// Times out of its range become the nearest that fit.
func nanos(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	n := t.UnixNano()
	if !time.Unix(0, n).Equal(t) {
		if t.Unix() < 0 {
			return math.MinInt64
		}
		return math.MaxInt64
	}
	return n
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// appendTime writes a time so that keys sort by it.
func appendTime(key []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(key, uint64(nanos(t))^1<<63)
}

func timeOfKey(b []byte) time.Time {
	return fromNanos(int64(binary.BigEndian.Uint64(b) ^ 1<<63))
}

// cut splits a key's text at its zero byte.
func cut(b []byte) (text string, rest []byte, err error) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", nil, fmt.Errorf("key text %q has no end", b)
	}
	return string(b[:i]), b[i+1:], nil
}

// parseAddress reads slot, hub and instance from the front of b.
func parseAddress(partition uint32, b []byte) (a Address, rest []byte, err error) {
	if len(b) < 2 {
		return a, nil, fmt.Errorf("key %q is too short for an instance", b)
	}
	slot := binary.BigEndian.Uint16(b)
	hub, rest, err := cut(b[2:])
	if err != nil {
		return a, nil, err
	}
	id, rest, err := cut(rest)
	if err != nil {
		return a, nil, err
	}
	a = NewAddress(partition, history.TaskHub(hub), history.InstanceID(id))
	if want := history.SlotOf(a.Hub, a.ID); uint16(want) != slot {
		return a, nil, fmt.Errorf("instance %s stands under slot %d, its slot is %d", a, slot, want)
	}
	return a, rest, nil
}

// ParseAddress returns the instance whose row the key is, in a table of rows of
// instances or in the ready list.
func ParseAddress(key []byte) (Address, []byte, error) {
	if len(key) < tableHeader {
		return Address{}, nil, fmt.Errorf("key %q is too short", key)
	}
	return parseAddress(binary.BigEndian.Uint32(key), key[tableHeader:])
}

// ParseActivityKey returns whose pending activity the key is.
func ParseActivityKey(key []byte) (Address, int32, error) {
	a, rest, err := ParseAddress(key)
	if err == nil && len(rest) != 4 {
		err = fmt.Errorf("activity key of %s has %d bytes behind the instance", a, len(rest))
	}
	if err != nil {
		return a, 0, err
	}
	return a, int32(binary.BigEndian.Uint32(rest)), nil
}
