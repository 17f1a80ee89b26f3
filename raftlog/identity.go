package raftlog

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/reprise-run/reprise/internal/peer"
)

// GroupID names a Raft group. It is never reused. Keys of the group's state
// begin with it, in 4 bytes, big-endian.
type GroupID uint32

// ServerID names one replica for all time: 32 hex digits, "@" and its node. It
// is made with the replica's data and lost with it, so a replica that lost its
// disk is another one, and no configuration gives it a vote.
type ServerID string

// Node returns the node that holds the replica.
func (id ServerID) Node() peer.NodeID {
	_, node, _ := strings.Cut(string(id), "@")
	return peer.NodeID(node)
}

// newServerID makes an identity that was never used before.
func newServerID(node peer.NodeID) ServerID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return ServerID(hex.EncodeToString(b[:]) + "@" + string(node))
}

// reusedServerID is what a planted bug gives a replica: the same one each time.
func reusedServerID(node peer.NodeID, g GroupID) ServerID {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s/%d", node, g)
	return ServerID(hex.EncodeToString(h.Sum(nil)) + "@" + string(node))
}
