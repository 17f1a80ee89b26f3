package raftlog

import (
	"errors"
	"fmt"
)

// Errors of a [Host] and its groups.
var (
	// ErrLocked: another process has the data directory open.
	ErrLocked = errors.New("data directory is in use by another process")
	// ErrNewerFormat: the data directory was written by a newer version.
	ErrNewerFormat = errors.New("data directory has a newer format than this version knows")
	// ErrCorrupt: a store of this node is damaged. The wrapping error says what
	// can be done.
	ErrCorrupt = errors.New("store is corrupt")
	// ErrUnknownGroup: this node has no replica of the group.
	ErrUnknownGroup = errors.New("no replica of the group on this node")
	// ErrNotEmpty: the replica has data already.
	ErrNotEmpty = errors.New("replica is not empty")
	// ErrNotLeader: this replica does not lead its group.
	ErrNotLeader = errors.New("replica does not lead its group")
	// ErrReignOver: the reign has ended.
	ErrReignOver = errors.New("reign is over")
	// ErrTooLarge: an entry is over MaxEntryBytes.
	ErrTooLarge = errors.New("entry is too large")
	// ErrBadBatch: a proposed batch touches keys that are not the group's, or
	// cannot be read.
	ErrBadBatch = errors.New("batch is not acceptable")
	// ErrClosed: the host or the group was closed, or the host has failed.
	ErrClosed = errors.New("closed")
	// ErrQuarantined: the replica's state is not that of its group; it was stopped.
	ErrQuarantined = errors.New("replica is quarantined: its state is not that of its group")
)

// corrupt says that a store is damaged and what a person can do.
func corrupt(what string, err error) error {
	return fmt.Errorf("%s: %w: %w. Do not edit the files. If other nodes hold replicas, move the data directory away and start this node again: it joins as a new replica. If this is the only node, restore a backup", what, ErrCorrupt, err)
}
