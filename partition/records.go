package partition

import (
	"fmt"
	"sort"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Meta is the partition's own record.
type Meta struct {
	// Clock is the partition's clock when the newest entry was made.
	Clock time.Time
	// Cut is the number of the newest consistent cut that the partition has taken
	// part in; 0 while there was none.
	Cut uint64
	// Counts are those of the rows after the newest entry; nil: an older version wrote
	// the record.
	Counts *Counts
}

// Encode returns the stored form.
func (m Meta) Encode() []byte {
	fields := 2
	if m.Counts != nil {
		fields = 3
	}
	p := pack.NewWriter(48, fields)
	p.Time(m.Clock)
	p.Int(int64(m.Cut))
	if m.Counts != nil {
		m.Counts.write(p)
	}
	return p.Bytes()
}

// DecodeMeta reads the stored form; nil is the record of a new partition.
func DecodeMeta(value []byte) (Meta, error) {
	if value == nil {
		return Meta{}, nil
	}
	u := pack.NewReader(value)
	var m Meta
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			m.Clock = u.Time()
		case 1:
			m.Cut = uint64(u.Int())
		case 2:
			m.Counts = readCounts(u)
		default:
			u.Skip() // of a newer writer
		}
	}
	return m, u.Err()
}

// Why says why an instance cannot run on by itself. Numbers are stored.
type Why uint8

// The reasons.
const (
	NotParked        Why = 0
	Unbound          Why = 1 // no node binds the name
	Nondeterministic Why = 2 // the code does not fit the history
	Stuck            Why = 3 // an episode did not yield, or decided more than the log takes
	Unrecordable     Why = 4 // it decided what cannot be recorded
	Crowded          Why = 5 // it sends where there is no room
	Incomplete       Why = 6 // a local activity is not bound beside its code
)

// Parked says what keeps an instance from running on.
type Parked struct {
	Why     Why
	Name    string // of the orchestrator; where it is crowded, of what has no room
	Version string
	Reason  string // for a person
}

// Record is the record of an instance. It is small: input and output are events.
type Record struct {
	Execution      history.ExecutionID
	Name           string
	Version        string
	Status         history.Status
	Created        time.Time
	Updated        time.Time
	Completed      time.Time // zero until it ended
	ScheduledStart time.Time // zero: at once
	// Episodes is how many rows the history has; Events how many events they hold.
	Episodes int64
	Events   int64
	// LastID is the highest ID of a decision so far, or [history.NoID].
	LastID int32
	// Activities, Timers and Children count the pending rows of the execution.
	Activities int64
	Timers     int64
	Children   int64
	// Stored counts the rows of the inbox. NextMail is the number of the next one;
	// numbers begin with 1 and are not reused by the execution.
	Stored   int64
	NextMail uint64
	// Ready is set while the instance stands in the ready list.
	Ready bool
	// StartArmed is set while the timer of a scheduled start is armed.
	StartArmed bool
	Parked     Parked
	// CustomStatus is the hash of the custom status; 0 where there is none.
	CustomStatus uint64
	Tags         map[string]string
	Trace        history.Trace
	// Parent is who awaits the end of the execution; nil where nobody does.
	Parent *history.ParentInstance
	// Awaits are the names of the external events that the code waits for. Buffered
	// counts those that are in the history and were not taken.
	Awaits   []string
	Buffered int64
	// First is the execution with which the instance was started, where it has
	// continued as new since. The parent knows it by that.
	First history.ExecutionID
	// Deadline is when the orchestration is cancelled if it has not ended; zero: never.
	// It stays when the instance continues as new.
	Deadline time.Time
	// Updates are the names of the updates that the code takes.
	Updates []string
	// Calls counts the operations of entities whose outcome the execution awaits,
	// Sections its critical sections that were not left.
	Calls    int64
	Sections int64
	// Entity is set where the instance is an entity.
	Entity *Entity
	// CancelRequested is when somebody asked the orchestration to end, for CancelReason;
	// zero: nobody has, or it has ended.
	CancelRequested time.Time
	CancelReason    string
	// Limited counts those of the pending activities that have to begin or to end in
	// time: each of them has up to two rows more than the others.
	Limited int64
	// StoredBytes is the payload of the mail in the inbox of an entity, ScheduledBytes
	// that of its operations that are not due yet; 0 for orchestrations.
	StoredBytes    int64
	ScheduledBytes int64
	// Before counts the numbers below middleMail that were given to what began executions
	// while mail was stored, which goes before that.
	Before int64
}

// Fields of a record. Those of a request to end, the activities with a limit, the trace
// state, what waits for an entity, and what went before stored mail stand at the end, and
// only where there are any.
const (
	recordFields   = 31
	canceledFields = 33
	limitedFields  = 34
	stateFields    = 35
	waitingFields  = 37
	beforeFields   = 38
)

// Encode returns the stored form.
func (r *Record) Encode() []byte {
	fields := recordFields
	if !r.CancelRequested.IsZero() || r.CancelReason != "" {
		fields = canceledFields
	}
	if r.Limited > 0 {
		fields = limitedFields
	}
	if r.Trace.State != "" {
		fields = stateFields
	}
	if r.StoredBytes > 0 || r.ScheduledBytes > 0 {
		fields = waitingFields
	}
	if r.Before > 0 {
		fields = beforeFields
	}
	p := pack.NewWriter(192+len(r.Name)+len(r.Parked.Reason), fields)
	p.String(string(r.Execution))
	p.String(r.Name)
	p.String(r.Version)
	p.Int(int64(r.Status))
	p.Time(r.Created)
	p.Time(r.Updated)
	p.Time(r.Completed)
	p.Time(r.ScheduledStart)
	p.Int(r.Episodes)
	p.Int(r.Events)
	p.Int(int64(r.LastID))
	p.Int(r.Activities)
	p.Int(r.Timers)
	p.Int(r.Stored)
	p.Int(int64(r.NextMail))
	p.Bool(r.Ready)
	p.Bool(r.StartArmed)
	if r.Parked.Why == NotParked {
		p.Nil()
	} else {
		p.Array(4)
		p.Int(int64(r.Parked.Why))
		p.String(r.Parked.Name)
		p.String(r.Parked.Version)
		p.String(r.Parked.Reason)
	}
	p.Int(int64(r.CustomStatus))
	putStrings(p, r.Tags)
	p.String(r.Trace.Parent)
	p.Int(r.Children)
	history.WriteParent(p, r.Parent)
	p.Array(len(r.Awaits))
	for _, name := range r.Awaits {
		p.String(name)
	}
	p.Int(r.Buffered)
	p.String(string(r.First))
	p.Time(r.Deadline)
	p.Array(len(r.Updates))
	for _, name := range r.Updates {
		p.String(name)
	}
	p.Int(r.Calls)
	p.Int(r.Sections)
	putEntity(p, r.Entity)
	if fields >= canceledFields {
		p.Time(r.CancelRequested)
		p.String(r.CancelReason)
	}
	if fields >= limitedFields {
		p.Int(r.Limited)
	}
	if fields >= stateFields {
		p.String(r.Trace.State)
	}
	if fields >= waitingFields {
		p.Int(r.StoredBytes)
		p.Int(r.ScheduledBytes)
	}
	if fields >= beforeFields {
		p.Int(r.Before)
	}
	return p.Bytes()
}

// DecodeRecord reads the stored form.
func DecodeRecord(value []byte) (*Record, error) {
	u := pack.NewReader(value)
	r := &Record{LastID: history.NoID}
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			r.Execution = history.ExecutionID(u.String())
		case 1:
			r.Name = u.String()
		case 2:
			r.Version = u.String()
		case 3:
			r.Status = history.Status(u.Int())
		case 4:
			r.Created = u.Time()
		case 5:
			r.Updated = u.Time()
		case 6:
			r.Completed = u.Time()
		case 7:
			r.ScheduledStart = u.Time()
		case 8:
			r.Episodes = u.Int()
		case 9:
			r.Events = u.Int()
		case 10:
			r.LastID = int32(u.Int())
		case 11:
			r.Activities = u.Int()
		case 12:
			r.Timers = u.Int()
		case 13:
			r.Stored = u.Int()
		case 14:
			r.NextMail = uint64(u.Int())
		case 15:
			r.Ready = u.Bool()
		case 16:
			r.StartArmed = u.Bool()
		case 17:
			r.Parked = getParked(u)
		case 18:
			r.CustomStatus = uint64(u.Int())
		case 19:
			r.Tags = getStrings(u)
		case 20:
			r.Trace.Parent = u.String()
		case 21:
			r.Children = u.Int()
		case 22:
			r.Parent = history.ReadParent(u)
		case 23:
			r.Awaits = getNames(u)
		case 24:
			r.Buffered = u.Int()
		case 25:
			r.First = history.ExecutionID(u.String())
		case 26:
			r.Deadline = u.Time()
		case 27:
			r.Updates = getNames(u)
		case 28:
			r.Calls = u.Int()
		case 29:
			r.Sections = u.Int()
		case 30:
			r.Entity = getEntity(u)
		case 31:
			r.CancelRequested = u.Time()
		case 32:
			r.CancelReason = u.String()
		case 33:
			r.Limited = u.Int()
		case 34:
			r.Trace.State = u.String()
		case 35:
			r.StoredBytes = u.Int()
		case 36:
			r.ScheduledBytes = u.Int()
		case 37:
			r.Before = u.Int()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() != nil {
		return nil, fmt.Errorf("decode record of an instance: %w", u.Err())
	}
	return r, nil
}

// strings writes a map as an array of keys and values, by key; nil where empty.
func putStrings(p *pack.Writer, m map[string]string) {
	if len(m) == 0 {
		p.Nil()
		return
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	p.Array(2 * len(m))
	for _, k := range keys {
		p.String(k)
		p.String(m[k])
	}
}

func getParked(u *pack.Reader) Parked {
	if u.IsNil() {
		return Parked{}
	}
	if u.Array() != 4 {
		u.Fail("odd shape")
	}
	return Parked{Why: Why(u.Int()), Name: u.String(), Version: u.String(), Reason: u.String()}
}

func getNames(u *pack.Reader) (names []string) {
	for n := u.Array(); n > 0 && u.Err() == nil; n-- {
		names = append(names, u.String())
	}
	return names
}

func getStrings(u *pack.Reader) map[string]string {
	if u.IsNil() {
		return nil
	}
	n := u.Array()
	if n%2 != 0 {
		u.Fail("odd shape")
	}
	m := make(map[string]string, n/2)
	for ; n > 0 && u.Err() == nil; n -= 2 {
		k := u.String()
		m[k] = u.String()
	}
	return m
}
