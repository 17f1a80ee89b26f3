// Package leader is what a node does for a partition while it leads it:
// mailboxes, turns, proposals, effects.
//
// One loop owns the state of the partition in memory. Blocking work (running an
// episode, reading a history, running activities) happens outside the loop and
// comes back as mail. Effects leave only after the entry that made them possible
// has been applied. All memory is dropped when the reign ends: a new leader
// finds everything in the applied state.
package leader
