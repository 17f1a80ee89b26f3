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
//	custom      custom status
//	ready       instances with stored mail whose turn has not run
//	timers      everything that is due some day, by time
//	parked      instances that cannot run on, by reason and name
//	answers     answers to requests, by the time when the request was first sent
//	unfinished  long rows whose last piece is not written yet
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
// [Check] verifies a whole store.
package partition
