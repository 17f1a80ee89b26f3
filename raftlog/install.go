package raftlog

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// installs is what a replica knows of snapshots under way.
type installs struct {
	count atomic.Uint64 // installed since the start

	sending sync.Mutex // guards senders; held by truncation
	senders int        // snapshots being sent to followers
}

func (i *installs) abort() {}

func (t *transport) sendSnapshot(raft.ServerID, *raft.InstallSnapshotRequest, *raft.InstallSnapshotResponse) error {
	return errors.New("not yet")
}

func (h *Host) handleBegin(_ peer.NodeID, _ []byte, answer reply) { answer(nil, errors.New("not yet")) }
func (h *Host) handleBlock(_ peer.NodeID, _ []byte, answer reply) { answer(nil, errors.New("not yet")) }
func (h *Host) handleFinish(_ peer.NodeID, _ []byte, answer reply) {
	answer(nil, errors.New("not yet"))
}
