// Package partition is the state of one partition: its keys, its records, and
// the functions that turn an instance, its mail and an episode into rows to
// write and effects to let out.
//
// The package is pure: it has no clock, no I/O, no goroutines. Time comes in as
// a value; rows are read and written through [Store]. The package leader calls
// it on the leader of a partition; followers apply the resulting bytes and never
// run it.
//
// # State
//
// Every row begins with the partition and a table byte. Rows of an instance go
// on with slot, task hub and instance ID; rows of ordered tables with a sort key
// and then the same, so that "next due" is one scan and an instance is a few
// ranges. The tables:
//
//	meta        the partition's clock
//	instances   one small record an instance: no input, no output
//	history     one row an episode: OrchestratorStarted, what arrived, what was decided
//	inbox       mail whose turn could not run in the entry in which it arrived
//	activities  pending activities: attempt, next attempt, where the input is
//	timers-of   armed timers by instance
//	children    sub-orchestrations whose end is awaited
//	custom      custom status
//	calls       operations of entities whose outcome is awaited
//	locks       critical sections that are waited for, or were entered and not left
//	entities    the entities of a task hub, by ID: what lists read
//	states      the states of entities
//	signals     operations of entities that are not due yet
//	ready       instances with stored mail whose turn has not run
//	timers      everything that is due some day, by time
//	parked      instances that cannot run on, by reason and name
//	answers     answers to requests, by the time when the request was first sent
//	unfinished  long rows whose last piece is not written yet
//	outbox      mail to other instances, by lane and sequence number
//	lanes       how far the lanes to and from other partitions are
//
// The input of an execution is in its ExecutionStarted event (the first row of
// its history, or of its inbox while it is Pending), its output in the
// ExecutionCompleted event at the end of the last row.
//
// # Turns
//
// [Apply] records an episode. Mail on the fast path is never stored by itself:
// the pending activity or timer that it comes from is deleted by the turn that
// takes it, so that a crash before the turn finds the row and asks again. [Keep]
// stores mail in the inbox, for turns that do not come soon.
//
// # Lanes
//
// A turn whose decisions concern other instances (a child to start, an end to
// tell a parent) writes that mail to the outbox in the same entry. A lane is the
// ordered mail of one partition to one other; its receiver takes number after
// number and notes in the entry that records the mail how far it is ([InLane]), so
// mail arrives exactly once. What it has said to have recorded is deleted here
// ([Trim]). The lane of a partition to itself needs no cursor: the entry that
// records a row's mail deletes the row.
//
// # Entities
//
// An entity is an instance by its record, inbox, ready list and parking, and has a
// state in place of a history. [ApplyEntity] records a run of operations. An entity has
// rows exactly as long as it has a state, is locked, or has mail or scheduled
// operations; the entry that takes the last of these deletes them.
//
// Who enters a critical section has a row that says which of its entities are locked.
// The partition asks them one after the other, in the order of the bytes of their IDs,
// without user code ([Acquire]). Whatever ends the execution, [Apply] releases what it
// has asked for; request and release travel in the same lane, so no release comes before
// its request.
//
// [Check] verifies a whole store.
package partition
