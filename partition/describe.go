package partition

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Describe tells a row in one line for people: the key and what it says. With a
// nil value it tells the key alone.
func Describe(key, value []byte) string {
	text, err := describe(key, value)
	if err != nil {
		return fmt.Sprintf("%q: %v", key, err)
	}
	return text
}

func describe(key, value []byte) (string, error) {
	if len(key) < tableHeader {
		return "", fmt.Errorf("key is too short")
	}
	switch t := Table(key[tableHeader-1]); t {
	case TableMeta:
		return describeMeta(value)
	case TableTimers:
		timer, err := ParseTimer(key)
		return fmt.Sprintf("timers %s %s %s #%d", clock(timer.Due), timer.Address, timer.Kind, timer.ID), err
	case TableParked:
		a, p, err := ParseParkedKey(key)
		if p.Version != "" {
			p.Name += "@" + p.Version
		}
		return fmt.Sprintf("parked %s %s %s", p.Why, p.Name, a), err
	case TableAnswers, TableUpdates:
		return describeAnswer(key, value)
	case TableOutbox:
		return describeLetter(key, value)
	case TableLanes:
		return describeLane(key, value)
	case TableEntities:
		a, err := parseEntityKey(key)
		return fmt.Sprintf("entities %s", a), err
	case TableUnfinished:
		return fmt.Sprintf("unfinished %q", key[tableHeader:]), nil
	default:
		return describeInstanceRow(t, key, value)
	}
}

func describeMeta(value []byte) (string, error) {
	m, err := DecodeMeta(value)
	text := "meta clock=" + clock(m.Clock)
	if m.Cut != 0 {
		text += fmt.Sprintf(" cut=%d", m.Cut)
	}
	if m.Counts != nil {
		text += fmt.Sprintf(" timers=%d parked=%d", m.Counts.Timers, m.Counts.Parked)
	}
	return text, err
}

func describeLane(key, value []byte) (string, error) {
	if len(key) != tableHeader+5 {
		return "", fmt.Errorf("key has %d bytes, not %d", len(key), tableHeader+5)
	}
	direction, label := "to", "next"
	if key[tableHeader] == inward {
		direction, label = "from", "received"
	}
	n, err := decodeLane(value)
	return fmt.Sprintf("lanes %s %d: %s=%d", direction, binary.BigEndian.Uint32(key[tableHeader+1:]), label, n), err
}

func describeLetter(key, value []byte) (string, error) {
	if len(key) != tableHeader+14 {
		return "", fmt.Errorf("key has %d bytes, not %d", len(key), tableHeader+14)
	}
	text := fmt.Sprintf("outbox to %d number %d", binary.BigEndian.Uint32(key[tableHeader:]), binary.BigEndian.Uint64(key[tableHeader+4:]))
	if n := binary.BigEndian.Uint16(key[tableHeader+12:]); n > 0 {
		text += fmt.Sprintf(" piece %d", n)
	}
	if len(value) < rowHeader {
		return text, nil
	}
	if pieces := binary.BigEndian.Uint16(value[2:]); pieces > 1 {
		return fmt.Sprintf("%s: one of %d pieces, %d bytes", text, pieces, len(value)-rowHeader), nil
	}
	l, err := DecodeLetter(value[rowHeader:])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %s/%s to %s %s: %s", text, l.Hub, l.From, l.To, l.ToExecution, history.Describe(l.Event)), nil
}

func describeAnswer(key, value []byte) (string, error) {
	if len(key) < tableHeader+8 {
		return "", fmt.Errorf("key is too short")
	}
	a, rest, err := parseAddress(binary.BigEndian.Uint32(key), key[tableHeader+8:])
	if err != nil {
		return "", err
	}
	if Table(key[tableHeader-1]) == TableUpdates {
		return describeUpdate(a, rest, key, value)
	}
	text := fmt.Sprintf("answers %s %s %s", clock(timeOfKey(key[tableHeader:tableHeader+8])), a, rest)
	if value == nil {
		return text, nil
	}
	answer, err := decodeAnswer(value)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: code=%d execution=%s started=%t", text, answer.Code, answer.Execution, answer.Started), nil
}

func describeInstanceRow(t Table, key, value []byte) (string, error) {
	a, rest, err := ParseAddress(key)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s %s", t, a)
	switch t {
	case TableHistory:
		execution, number, err := cut(rest)
		if err != nil {
			return "", err
		}
		return describeRow(text+" "+execution, number, value)
	case TableInbox:
		return describeRow(text, fromMiddle(rest), value)
	case TableSignals:
		if len(rest) != 6 {
			return "", fmt.Errorf("key ends with %d bytes, not 6", len(rest))
		}
		return describeRow(text, append(make([]byte, 4, 10), rest...), value)
	case TableEntityStates:
		return describeState(text, rest, value)
	case TableActivities, TableTimersOf, TableChildren, TableProgress, TableCalls, TableLocks:
		if len(rest) != 4 {
			return "", fmt.Errorf("key has %d bytes behind the instance", len(rest))
		}
		text += fmt.Sprintf(" #%d", int32(binary.BigEndian.Uint32(rest)))
	}
	if value == nil {
		return text, nil
	}
	switch t {
	case TableInstances:
		r, err := DecodeRecord(value)
		if err != nil {
			return "", err
		}
		text += ": " + r.String()
	case TableActivities:
		activity, err := DecodeActivity(value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(": %s attempt=%d", activity.Name, activity.Attempt)
		if !activity.NextAttempt.IsZero() {
			text += fmt.Sprintf(" next=%s last=%q", clock(activity.NextAttempt), activity.LastFailure)
		}
		text += activity.more()
	case TableProgress:
		progress, err := decodeProgress(value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(": %s", progress)
	case TableTimersOf:
		due, err := decodeDue(value)
		if err != nil {
			return "", err
		}
		text += ": " + clock(due)
	case TableChildren:
		c, err := decodeChild(value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(": %s %s %s", c.Name, c.Instance, c.Execution)
	case TableCalls:
		c, err := decodeCall(value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(": %s of %s", c.Operation, c.Target)
	case TableLocks:
		c, err := decodeSection(value)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf(": %q locked=%d", c.LockSet, c.Acquired)
	case TableCustomStatus:
		text += fmt.Sprintf(": %s", value[min(rowHeader, len(value)):])
	}
	return text, nil
}

// describeRow tells a row of history or of the inbox: its number, and the events
// of one that is not split.
func describeRow(text string, number, value []byte) (string, error) {
	if len(number) != 10 {
		return "", fmt.Errorf("key ends with %d bytes, not 10", len(number))
	}
	text += fmt.Sprintf(" %d", int64(binary.BigEndian.Uint64(number)))
	if n := binary.BigEndian.Uint16(number[8:]); n > 0 {
		text += fmt.Sprintf(" piece %d", n)
	}
	if len(value) < rowHeader {
		return text, nil
	}
	if pieces := binary.BigEndian.Uint16(value[2:]); pieces > 1 {
		return fmt.Sprintf("%s: one of %d pieces, %d bytes", text, pieces, len(value)-rowHeader), nil
	}
	events, err := history.DecodeEvents(value[rowHeader:])
	if err != nil {
		return "", err
	}
	lines := []string{text}
	for _, e := range events {
		lines = append(lines, "    "+history.Describe(e))
	}
	return strings.Join(lines, "\n"), nil
}

// fromMiddle returns the end of the key of an inbox with the number as it is counted from
// the middle, in both directions.
func fromMiddle(number []byte) []byte {
	if len(number) < 8 || binary.BigEndian.Uint64(number) < middleMail/2 {
		return number
	}
	counted := binary.BigEndian.AppendUint64(nil, binary.BigEndian.Uint64(number)-middleMail)
	return append(counted, number[8:]...)
}

// describeState tells a row with the state of an entity.
func describeState(text string, number, value []byte) (string, error) {
	if len(number) != 10 {
		return "", fmt.Errorf("key ends with %d bytes, not 10", len(number))
	}
	text += fmt.Sprintf(" %d", binary.BigEndian.Uint64(number))
	if n := binary.BigEndian.Uint16(number[8:]); n > 0 {
		text += fmt.Sprintf(" piece %d", n)
	}
	const shown = 64
	switch {
	case len(value) < rowHeader:
		return text, nil
	case len(value) > rowHeader+shown:
		return fmt.Sprintf("%s: %d bytes", text, len(value)-rowHeader), nil
	}
	return fmt.Sprintf("%s: %s", text, value[rowHeader:]), nil
}

// String tells the record in one line.
func (r *Record) String() string {
	text := fmt.Sprintf("%s %s %s episodes=%d events=%d", r.Name, r.Execution, r.Status, r.Episodes, r.Events)
	add := func(label string, n int64) {
		if n != 0 {
			text += fmt.Sprintf(" %s=%d", label, n)
		}
	}
	add("activities", r.Activities)
	add("limited", r.Limited)
	add("timers", r.Timers)
	add("children", r.Children)
	add("calls", r.Calls)
	add("sections", r.Sections)
	add("stored", r.Stored)
	add("stored-bytes", r.StoredBytes)
	add("before", r.Before)
	add("buffered", r.Buffered)
	if len(r.Awaits) > 0 {
		text += fmt.Sprintf(" awaits=%q", r.Awaits)
	}
	if len(r.Updates) > 0 {
		text += fmt.Sprintf(" updates=%q", r.Updates)
	}
	if len(r.Tags) > 0 {
		text += fmt.Sprintf(" tags=%q", r.Tags)
	}
	if !r.CancelRequested.IsZero() {
		text += fmt.Sprintf(" cancel=%q", r.CancelReason)
	}
	if e := r.Entity; e != nil {
		add("scheduled", e.Scheduled)
		add("scheduled-bytes", r.ScheduledBytes)
		if e.State != 0 {
			text += fmt.Sprintf(" state=%d", e.State)
		}
		if by := e.LockedBy; by != nil {
			text += fmt.Sprintf(" locked-by=%s#%d", by.Instance, by.TaskID)
		}
	}
	if r.Ready {
		text += " ready"
	}
	if r.StartArmed {
		text += " starts=" + clock(r.ScheduledStart)
	}
	if r.Parked.Why != NotParked {
		text += fmt.Sprintf(" parked=%s", r.Parked.Why)
	}
	return text
}

var tableNames = map[Table]string{
	TableMeta: "meta", TableInstances: "instances", TableHistory: "history", TableInbox: "inbox",
	TableActivities: "activities", TableTimersOf: "timers-of", TableCustomStatus: "custom",
	TableReady: "ready", TableTimers: "timers", TableParked: "parked", TableAnswers: "answers",
	TableProgress:   "progress",
	TableUnfinished: "unfinished", TableChildren: "children", TableUpdates: "updates", TableOutbox: "outbox", TableLanes: "lanes",
	TableEntities: "entities", TableEntityStates: "states", TableCalls: "calls", TableLocks: "locks", TableSignals: "signals",
}

// String returns the table's name.
func (t Table) String() string {
	if name := tableNames[t]; name != "" {
		return name
	}
	return fmt.Sprintf("table-%d", byte(t))
}

// String returns the reason's name.
func (w Why) String() string {
	switch w {
	case NotParked:
		return "not-parked"
	case Unbound:
		return "unbound"
	case Nondeterministic:
		return "nondeterministic"
	case Stuck:
		return "stuck"
	case Unrecordable:
		return "unrecordable"
	case Crowded:
		return "crowded"
	case Incomplete:
		return "incomplete"
	}
	return fmt.Sprintf("why-%d", byte(w))
}

// String returns the kind's name.
func (k TimerKind) String() string {
	switch k {
	case UserTimer:
		return "timer"
	case RetryTimer:
		return "retry"
	case StartTimer:
		return "start"
	case OutsideTimer:
		return "outside"
	case StartByTimer:
		return "start-by"
	case CloseByTimer:
		return "close-by"
	case SignalTimer:
		return "signal"
	}
	return fmt.Sprintf("kind-%d", byte(k))
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }
