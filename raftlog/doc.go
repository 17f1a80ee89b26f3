// Package raftlog runs many Raft groups on one node. It replicates batches of
// writes and applies their bytes; what they mean it does not know.
//
// # Parts
//
// A [Host] owns the disk of a node: one log store for all groups (a Pebble with
// a WAL, fsynced, so that one fsync commits many groups), one state store (a
// Pebble without a WAL: the Raft log is its WAL) and a small side file of marks
// that makes a shortened log visible. A [Group] is one replica of one group and
// the hashicorp/raft that drives it. A [Reign] is the time during which a
// replica leads under one epoch.
//
// # Epochs
//
// Raft orders entries but does not promise that all proposals of one leader
// enter the log: one in the middle may be refused and the next accepted. So a
// leader first proposes an Open; the log index of an Open is the group's epoch
// from then on. Every write carries its epoch and a sequence number, and is
// applied only if the epoch is the stored one and the sequence number the stored
// one plus one. Otherwise it does nothing, on every replica. A write that was
// refused ends the reign, and the replica opens a new epoch if it still leads.
//
// What a leader may let out is decided by what was applied ([Reign.Applied]),
// never by a future of Raft: futures can hang, and they can fail for a write
// that is applied later.
//
// # Disk
//
// The record of a group (epoch, sequence number, applied index, rolling hash)
// is written in the batch of the state that it describes. After a crash the
// state store holds an exact prefix, and entries at or below the applied index
// are skipped. A log is truncated only below what a flush of the state store has
// made durable. docs/storage.md has the formats and the rules.
//
// # Failure
//
// An error of a store, a failed fsync and a stalled disk end the node through
// [Config.OnFatal]. From that moment the host is mute: it answers nobody, so
// that nothing leaves it which the disk does not hold.
package raftlog
