package leader

import (
	"log/slog"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Config is what a leader is made of.
type Config struct {
	Partition uint32
	Log       Log
	Executor  Executor
	// Entities runs operations of entities. Nil: nobody binds any.
	Entities   EntityExecutor
	Dispatcher Dispatcher
	// PartitionOf returns the partition to which a slot belongs, or 0 while that is
	// not known. Nil: all slots are this partition's.
	PartitionOf func(history.Slot) uint32
	// Courier brings mail to other partitions. Nil only where there are none.
	Courier Courier
	// Clock reads the wall clock. The partition's clock follows it but never runs
	// backward. Nil: time.Now.
	Clock func() time.Time
	// Spans hears of every traced execution, activity and operation that has ended, once that is
	// committed. The loop calls it, so it must not block. Nil: nobody wants them.
	Spans func(history.Span)
	// Meter is told what cannot be read from [Stats]. Nil: nobody wants to know.
	Meter Meter
	// Logger gets what people should know. Nil: nothing is logged.
	Logger *slog.Logger
	Limits Limits
	// MaxEntryBytes is the largest batch that Log takes. 0: there is no bound.
	MaxEntryBytes int
	// Oversized are errors with which earlier reigns have ended. Their instances are
	// parked, once each.
	Oversized []*OversizedError
	// Faults plants bugs, for tests of the tests. Nil in production.
	Faults *Faults
}

// Meter takes figures of single events. The loop calls it, so it must be quick.
type Meter interface {
	// Committed is told of each entry that was applied: how long after it was
	// proposed, and of how many bytes.
	Committed(took time.Duration, bytes int)
	// Fired is told how late a timer fired by the partition's clock.
	Fired(late time.Duration)
	// Parked is told why an instance was parked.
	Parked(why partition.Why)
}

// Limits bound what a leader holds and does at a time. A zero field takes the
// default.
type Limits struct {
	// Mailbox is how many requests may wait for the loop; one more is refused with
	// [ErrOverloaded]. Default 8192.
	Mailbox int
	// Results is how many results of activities may wait for the loop. Default 65536.
	Results int
	// Lanes is how many runs of letters from other partitions may wait for the
	// loop. Default 256.
	Lanes int
	// Episodes is how many episodes run at a time. Those that do not yield within a
	// second are not counted, up to 16 times this number. Default 64.
	Episodes int
	// Instances is how many idle instances are kept in memory. Default 16384.
	Instances int
	// Runnable is how many instances may wait for a turn in memory before timers
	// and the ready list are left where they are. Default 8192.
	Runnable int
	// Events is how many external events an instance may have that it has not taken,
	// and how many operations an entity; one more is refused with [ErrFull]. Default
	// 10,000.
	Events int
	// EventBytes is how much payload the operations may have that wait for an entity; one
	// that comes to more is refused with [ErrFull]. Default 16 MiB.
	EventBytes int
	// Flood is how many external events an instance may have that it has not taken,
	// those of other orchestrations included, which are not refused: one more ends
	// it, and an entity with so many operations that wait takes no call, and holds back
	// who signals it, until half of them are gone. Default 10 times Events.
	Flood int
	// FloodBytes is for the payload of an entity's operations what Flood is for their
	// number. Default 10 times EventBytes.
	FloodBytes int
	// Letters is how many letters may be on their way to one partition until who would
	// send more there is held back, until half of them have arrived. Default 100,000.
	Letters int
	// Starts is how many of these letters may start detached orchestrations until who
	// would start more there is held back, likewise. Default a tenth of Letters.
	Starts int
	// Waiters is how many [Leader.Wait] calls may wait. Default 65536.
	Waiters int
	// Watchers is how many [Leader.Watch] calls may wait. Default 16384.
	Watchers int
	// Tasks is how many attempts of one activity name wait in memory for room; the
	// others are read from the state as room appears. Default 4096.
	Tasks int
	// Timers is how many timers are held in memory, those due first. Default 4096.
	Timers int
	// InFlight is how many entries may be on their way before a new one waits and
	// grows. An entry costs every replica far more than one turn more in it, so the
	// default is 1.
	InFlight int
	// EntryBytes is the size at which an entry is closed. Default 256 KiB.
	EntryBytes int
	// Spill is how long mail waits for its episode before it is stored in the
	// inbox and acknowledged. Default 20 ms.
	Spill time.Duration
	// Stuck is how long an episode may run before its instance is parked, as one
	// that does not yield. Default 1 minute.
	Stuck time.Duration
	// AnswerWindow is how long answers to requests are remembered. Default 10
	// minutes.
	AnswerWindow time.Duration
}

// Faults are bugs on purpose: the general fault tests must find each of them.
type Faults struct {
	// AckBeforeCommit lets effects leave when their entry is proposed.
	AckBeforeCommit bool
	// NoDedup forgets the answers to requests, and takes every result of an
	// activity as new.
	NoDedup bool
	// ReadFromMemory answers reads without a read check, from the leader's memory.
	ReadFromMemory bool
	// LocalTimers fires timers by the wall clock instead of the partition's.
	LocalTimers bool
	// LaneCursorEarly notes letters of other partitions as recorded when they have
	// come.
	LaneCursorEarly bool
	// TrimEarly deletes letters to other partitions when they were sent.
	TrimEarly bool
	// LockKept lets a terminated orchestration keep the entities that it has locked.
	LockKept bool
	// ReplyLost lets an entity run calls that were stored before, and tell nobody how
	// they ended.
	ReplyLost bool
}

func (l Limits) withDefaults() Limits {
	number := func(n *int, def int) {
		if *n <= 0 {
			*n = def
		}
	}
	duration := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	number(&l.Mailbox, 8192)
	number(&l.Results, 65536)
	number(&l.Lanes, 256)
	number(&l.Episodes, 64)
	number(&l.Instances, 16384)
	number(&l.Runnable, 8192)
	number(&l.Events, 10_000)
	number(&l.EventBytes, history.MaxPayloadBytes)
	number(&l.Flood, 10*l.Events)
	number(&l.FloodBytes, 10*l.EventBytes)
	number(&l.Letters, 100_000)
	number(&l.Starts, max(l.Letters/10, 1))
	number(&l.Waiters, 65536)
	number(&l.Watchers, 16384)
	number(&l.Tasks, 4096)
	number(&l.Timers, 4096)
	number(&l.InFlight, 1)
	number(&l.EntryBytes, 256<<10)
	duration(&l.Spill, 20*time.Millisecond)
	duration(&l.Stuck, time.Minute)
	duration(&l.AnswerWindow, 10*time.Minute)
	return l
}

func (f *Faults) ackBeforeCommit() bool { return f != nil && f.AckBeforeCommit }
func (f *Faults) noDedup() bool         { return f != nil && f.NoDedup }
func (f *Faults) readFromMemory() bool  { return f != nil && f.ReadFromMemory }
func (f *Faults) localTimers() bool     { return f != nil && f.LocalTimers }
func (f *Faults) laneCursorEarly() bool { return f != nil && f.LaneCursorEarly }
func (f *Faults) trimEarly() bool       { return f != nil && f.TrimEarly }
func (f *Faults) lockKept() bool        { return f != nil && f.LockKept }
func (f *Faults) replyLost() bool       { return f != nil && f.ReplyLost }
