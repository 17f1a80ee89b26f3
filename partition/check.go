package partition

import (
	"bytes"
	"fmt"
	"slices"
	"sort"

	"github.com/reprise-run/reprise/history"
)

// Violation is a broken invariant of a partition's state.
type Violation struct {
	Address string // of the instance; empty where there is none
	What    string
}

// String tells the violation in one line.
func (v Violation) String() string {
	if v.Address == "" {
		return v.What
	}
	return v.Address + ": " + v.What
}

// Check verifies the whole state of a partition between two entries:
//
//   - an instance that has not ended is runnable (it stands in the ready list),
//     waits for a pending activity, an armed timer, a child, an operation of an entity,
//     a critical section, an external event, an update or its scheduled start, or is
//     parked with a reason;
//   - a pending activity has the timers that its row says, and progress exactly if its
//     row says so;
//   - every pending activity, timer, awaited child or operation, critical section, row
//     of the inbox, of the ready list and of the parked belongs to an execution that has
//     not ended, and the record's counts are those of the rows;
//   - every activity, timer, child, operation and critical section that a history
//     awaits has its row, or its end in the inbox, and none has both;
//   - no execution that is gone has left history, mail or a custom status;
//   - an entity has rows exactly if it has a state, is locked, or has mail or scheduled
//     operations, and it stands in the list of entities;
//   - the record of the partition has the numbers of armed timers and of parked
//     instances;
//   - the letters of a lane to another partition are numbered without gaps up to
//     the next number;
//   - the history has all its rows, its IDs grow, its times do not run backward,
//     nothing arrives twice, no timer fired early, and it ends with the completion
//     exactly if the record says so.
//
// It reads everything into memory: it is for tests and for operators.
func Check(r Reader, partition uint32) ([]Violation, error) {
	c := checker{partition: partition, instances: make(map[string]*checked)}
	if err := c.lanes(r); err != nil {
		return nil, err
	}
	for _, table := range []struct {
		t  Table
		fn func(key, value []byte) error
	}{
		{TableInstances, c.record},
		{TableHistory, c.episode},
		{TableInbox, c.stored},
		{TableCustomStatus, c.customStatus},
		{TableActivities, c.activity},
		{TableProgress, c.progress},
		{TableTimersOf, c.timerOf},
		{TableChildren, c.child},
		{TableCalls, c.call},
		{TableLocks, c.section},
		{TableSignals, c.signal},
		{TableEntities, c.listed},
		{TableEntityStates, c.state},
		{TableTimers, c.timer},
		{TableReady, c.ready},
		{TableParked, c.parked},
	} {
		from, to := TableRange(partition, table.t)
		var failed error
		err := r.Scan(from, to, func(key, value []byte) bool {
			failed = table.fn(key, value)
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return nil, fmt.Errorf("check table %s: %w", table.t, err)
		}
	}
	if err := c.unfinished(r); err != nil {
		return nil, err
	}
	if err := c.counts(r); err != nil {
		return nil, err
	}
	names := make([]string, 0, len(c.instances))
	for name := range c.instances {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if err := c.verify(r, c.instances[name]); err != nil {
			return nil, fmt.Errorf("check %s: %w", name, err)
		}
	}
	return c.violations, nil
}

// checked is what was found of one instance.
type checked struct {
	addr       Address
	record     *Record
	activities map[int32]*Activity
	progress   map[int32]bool
	timersOf   map[int32]int64 // due, as stored
	children   map[int32]Child
	timers     map[Timer]bool
	calls      map[int32]Call
	sections   map[int32]*Section
	ready      bool
	parked     []Parked
	entity     checkedEntity
	histories  map[string]bool // by execution
	status     bool            // there is a custom status
}

type checker struct {
	partition  uint32
	instances  map[string]*checked
	violations []Violation
}

func (c *checker) of(a Address) *checked {
	in := c.instances[a.path]
	if in == nil {
		in = &checked{
			addr: a, activities: map[int32]*Activity{}, progress: map[int32]bool{}, timersOf: map[int32]int64{}, children: map[int32]Child{},
			timers: map[Timer]bool{}, calls: map[int32]Call{}, sections: map[int32]*Section{}, histories: map[string]bool{},
			entity: checkedEntity{signals: map[int32]bool{}, states: map[uint64]stateRow{}},
		}
		c.instances[a.path] = in
	}
	return in
}

func (c *checker) record(key, value []byte) error {
	a, _, err := ParseAddress(key)
	if err != nil {
		return err
	}
	c.of(a).record, err = DecodeRecord(value)
	return err
}

func (c *checker) activity(key, value []byte) error {
	a, id, err := ParseActivityKey(key)
	if err != nil {
		return err
	}
	c.of(a).activities[id], err = DecodeActivity(value)
	return err
}

func (c *checker) progress(key, value []byte) error {
	a, id, err := ParseActivityKey(key) // of the same shape
	if err != nil {
		return err
	}
	c.of(a).progress[id] = true
	_, err = decodeProgress(value)
	return err
}

func (c *checker) timerOf(key, value []byte) error {
	a, id, err := ParseActivityKey(key) // of the same shape
	if err != nil {
		return err
	}
	due, err := decodeDue(value)
	c.of(a).timersOf[id] = nanos(due)
	return err
}

func (c *checker) child(key, value []byte) error {
	a, id, err := ParseActivityKey(key) // of the same shape
	if err != nil {
		return err
	}
	c.of(a).children[id], err = decodeChild(value)
	return err
}

// lanes looks for gaps in the lanes to other partitions.
func (c *checker) lanes(r Reader) error {
	lanes, err := ReadOutLanes(r, c.partition)
	if err != nil {
		return err
	}
	for to, lane := range lanes {
		var last uint64
		var failed error
		err := ReadOutbox(r, c.partition, to, 0, func(sequence uint64, data []byte, _ int) bool {
			if to != c.partition && last != 0 && sequence != last+1 {
				c.violations = append(c.violations, Violation{What: fmt.Sprintf("lane to %d: letter %d comes after %d", to, sequence, last)})
			}
			last = sequence
			_, failed = DecodeLetter(data)
			return failed == nil
		})
		if err == nil {
			err = failed
		}
		if err != nil {
			return err
		}
		if to != c.partition && last != 0 && last+1 != lane.Next || last >= lane.Next {
			c.violations = append(c.violations, Violation{What: fmt.Sprintf("lane to %d: the last letter is %d, the next number is %d", to, last, lane.Next)})
		}
	}
	return nil
}

func (c *checker) timer(key, _ []byte) error {
	t, err := ParseTimer(key)
	if err == nil {
		c.of(t.Address).timers[t] = true
	}
	return err
}

func (c *checker) ready(key, _ []byte) error {
	a, _, err := ParseAddress(key)
	if err == nil {
		c.of(a).ready = true
	}
	return err
}

func (c *checker) parked(key, _ []byte) error {
	a, p, err := ParseParkedKey(key)
	if err == nil {
		in := c.of(a)
		in.parked = append(in.parked, p)
	}
	return err
}

// unfinished looks for pieces that belong to no row: only markers may say so.
func (c *checker) unfinished(r Reader) error {
	marked := make(map[string]bool)
	from, to := TableRange(c.partition, TableUnfinished)
	err := r.Scan(from, to, func(key, _ []byte) bool {
		marked[string(key[tableHeader:])] = true
		return true
	})
	for _, table := range []Table{TableHistory, TableInbox, TableOutbox, TableEntityStates, TableSignals, TableUpdates} {
		var row []byte
		var pieces int
		from, to := TableRange(c.partition, table)
		if err != nil {
			break
		}
		err = r.Scan(from, to, func(key, value []byte) bool {
			if table == TableUpdates && !replyPiece(key) {
				return true
			}
			k, n := key[:len(key)-2], int(key[len(key)-2])<<8|int(key[len(key)-1])
			if n == 0 {
				row, pieces = bytes.Clone(k), int(value[2])<<8|int(value[3])
			} else if (!bytes.Equal(k, row) || n >= pieces) && !marked[string(key[tableHeader-1:len(key)-2])] {
				c.violations = append(c.violations, Violation{What: "a piece without its row: " + Describe(key, nil)})
			}
			return true
		})
	}
	return err
}

// counts compares the counts of the partition's record with the rows.
func (c *checker) counts(r Reader) error {
	value, err := r.Get(MetaKey(c.partition))
	if err != nil {
		return err
	}
	meta, err := DecodeMeta(value)
	if err != nil || meta.Counts == nil {
		return err
	}
	var found Counts
	for _, bounds := range CountedRanges(c.partition) {
		err := r.Scan(bounds[0], bounds[1], func(key, _ []byte) bool {
			found.Add(key, 1)
			return true
		})
		if err != nil {
			return err
		}
	}
	if found != *meta.Counts {
		c.violations = append(c.violations, Violation{What: fmt.Sprintf("there are %+v, the record says %+v", found, *meta.Counts)})
	}
	return nil
}

func (c *checker) verify(r Reader, in *checked) error {
	bad := func(format string, args ...any) {
		c.violations = append(c.violations, Violation{in.addr.String(), fmt.Sprintf(format, args...)})
	}
	rec := in.record
	if rec == nil {
		bad("has rows but no record")
		return nil
	}
	inbox, err := ReadInbox(r, in.addr)
	if err != nil {
		return err
	}
	checkCounts(in, inbox, bad)
	checkActivities(in, bad)
	checkTimers(in, bad)
	checkWaits(in, inbox, bad)
	checkEntity(in, inbox, bad)
	checkStray(in, bad)
	if rec.Entity != nil {
		return nil
	}
	var events []history.Event
	next := int64(0)
	err = ReadHistory(r, in.addr, rec.Execution, 0, rec.Episodes+1, func(episode int64, data []byte) (bool, error) {
		if episode != next {
			bad("episode %d is missing", next)
		}
		next = episode + 1
		more, err := history.DecodeEvents(data)
		if len(more) == 0 || more[0].Body == nil || more[0].Body.Kind() != history.KindOrchestratorStarted {
			bad("episode %d does not begin with OrchestratorStarted", episode)
		}
		events = append(events, more...)
		return true, err
	})
	if err != nil {
		return err
	}
	if next != rec.Episodes || int64(len(events)) != rec.Events {
		bad("history has %d episodes and %d events, the record says %d and %d", next, len(events), rec.Episodes, rec.Events)
	}
	checkHistory(in, events, inbox, bad)
	return nil
}

// checkCounts compares the rows of an instance with what its record says of them.
func checkCounts(in *checked, inbox []*Mail, bad func(string, ...any)) {
	rec := in.record
	for _, count := range []struct {
		of       string
		is, says int64
	}{
		{"pending activities", int64(len(in.activities)), rec.Activities},
		{"armed timers", int64(len(in.timersOf)), rec.Timers},
		{"awaited children", int64(len(in.children)), rec.Children},
		{"awaited operations", int64(len(in.calls)), rec.Calls},
		{"critical sections", int64(len(in.sections)), rec.Sections},
		{"stored events", int64(len(inbox)), rec.Stored},
	} {
		if count.is != count.says {
			bad("has %d %s, the record says %d", count.is, count.of, count.says)
		}
	}
	limited := int64(0)
	for _, a := range in.activities {
		if a.limited() {
			limited++
		}
	}
	if rec.Limited > limited { // records of older writers do not count them
		bad("has %d pending activities with a limit of time, the record says %d", limited, rec.Limited)
	}
	for _, m := range inbox {
		if m.Number >= rec.NextMail {
			bad("stored event %d is not below the next number %d", m.Number, rec.NextMail)
		}
		if m.Number >= middleMail/2 && m.Number < middleMail-uint64(rec.Before) {
			bad("stored event %d is below the numbers that were given, %d of them below the middle", m.Number, rec.Before)
		}
	}
	if rec.Ready != in.ready {
		bad("ready list: %t, the record says %t", in.ready, rec.Ready)
	}
	var parked []Parked // as the rows should be, which hold no reason
	if p := rec.Parked; p.Why != NotParked {
		parked = []Parked{{Why: p.Why, Name: p.Name, Version: p.Version}}
	}
	if !slices.Equal(in.parked, parked) {
		bad("parked rows %v, the record says %s", in.parked, rec.Parked.Why)
	}
}

// checkActivities finds pending activities of another execution, and saved progress
// without its activity or the other way round.
func checkActivities(in *checked, bad func(string, ...any)) {
	for id, a := range in.activities {
		if a.Execution != in.record.Execution {
			bad("pending activity %d belongs to execution %s", id, a.Execution)
		}
		if a.Progress != in.progress[id] {
			bad("activity %d has saved progress: %t, its row says %t", id, in.progress[id], a.Progress)
		}
	}
	for id := range in.progress {
		if in.activities[id] == nil {
			bad("progress of activity %d, which is not pending", id)
		}
	}
}

// checkTimers compares the timers of an instance with the rows that they are for.
func checkTimers(in *checked, bad func(string, ...any)) {
	want := make(map[Timer]bool)
	for id, due := range in.timersOf {
		want[Timer{fromNanos(due), in.addr, UserTimer, id}] = true
	}
	for id, a := range in.activities {
		for _, t := range a.Timers(in.addr, id) {
			want[t] = true
		}
	}
	if in.record.StartArmed {
		want[Timer{fromNanos(nanos(in.record.ScheduledStart)), in.addr, StartTimer, 0}] = true
	}
	for t := range in.timers {
		if t.Kind == SignalTimer && in.entity.signals[t.ID] {
			want[t] = true // its due time stands in the row alone
		}
	}
	for t := range want {
		if !in.timers[t] {
			bad("the %s timer %d due %s is not in the table", t.Kind, t.ID, clock(t.Due))
		}
	}
	for t := range in.timers {
		if !want[t] {
			bad("the %s timer %d due %s belongs to nothing", t.Kind, t.ID, clock(t.Due))
		}
	}
}

// checkWaits finds an instance that has ended and still has something to do, and one
// that has not ended and would never run again.
func checkWaits(in *checked, inbox []*Mail, bad func(string, ...any)) {
	rec := in.record
	if rec.Status.Ended() {
		if len(in.activities)+len(in.timers)+len(in.children)+len(in.calls)+len(in.sections)+len(inbox)+len(in.parked) > 0 || in.ready {
			bad("has ended and still has pending rows: %d activities, %d timers, %d children, %d operations, %d critical sections, parked rows %v, ready %t, stored events %q",
				len(in.activities), len(in.timers), len(in.children), len(in.calls), len(in.sections), in.parked, in.ready, describeMail(inbox))
		}
		return
	}
	waits := len(in.activities) + len(in.timers) + len(in.children) + len(in.calls) + len(in.parked) + len(rec.Awaits) + len(rec.Updates)
	for _, c := range in.sections {
		if !c.Entered {
			waits++
		}
	}
	if !in.ready && waits == 0 && rec.Entity == nil {
		bad("has not ended and waits for nothing")
	}
	if rec.Status == history.Pending && (len(inbox) == 0 || rec.Episodes != 0) {
		bad("is Pending without its start in the inbox")
	}
}

func describeMail(all []*Mail) []string {
	lines := make([]string, len(all))
	for i, m := range all {
		lines[i] = history.Describe(m.Event)
	}
	return lines
}
