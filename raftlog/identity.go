package raftlog

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/reprise-run/reprise/internal/peer"
)

// GroupID names a Raft group. It is never reused. Keys of the group's state
// begin with it, in 4 bytes, big-endian.
type GroupID uint32

// ServerID names one replica for all time: 32 hex digits, "@" and its node. It
// is made with the replica's data and lost with it, so a replica that lost its
// disk is another one, and no configuration gives it a vote. In a group that was
// recovered, "." and the lineage stand before the "@".
type ServerID string

// Node returns the node that holds the replica.
func (id ServerID) Node() peer.NodeID {
	_, node, _ := strings.Cut(string(id), "@")
	return peer.NodeID(node)
}

// Lineage returns the lineage of the replica's group to which it belongs.
func (id ServerID) Lineage() Lineage {
	head, _, _ := strings.Cut(string(id), "@")
	_, lineage, _ := strings.Cut(head, ".")
	return Lineage(lineage)
}

// Lineage names one history of a group. Empty is the one that was bootstrapped. A
// recovery (see [Stopped.Recover]) begins another one: a generation, "-" and 8 hex
// digits. Replicas of two lineages have nothing to say to each other: what one
// calls committed the other may never have seen. So a lineage is a part of a
// replica's identity, and hosts refuse what comes from another one.
type Lineage string

// Generation counts the recoveries that led to a lineage. Of two lineages the one
// of the higher generation holds.
func (l Lineage) Generation() uint64 {
	digits, _, _ := strings.Cut(string(l), "-")
	generation, err := strconv.ParseUint(digits, 10, 64)
	if err != nil {
		return 0 // the first one, which has no name
	}
	return generation
}

// newLineage makes a lineage that was never there before.
func newLineage(generation uint64) Lineage {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return Lineage(fmt.Sprintf("%d-%s", generation, hex.EncodeToString(b[:])))
}

// newServerID makes an identity that was never used before.
func newServerID(node peer.NodeID, lineage Lineage) ServerID {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	id := hex.EncodeToString(b[:])
	if lineage != "" {
		id += "." + string(lineage)
	}
	return ServerID(id + "@" + string(node))
}

// reusedServerID is what a planted bug gives a replica: the same one each time.
func reusedServerID(node peer.NodeID, g GroupID) ServerID {
	h := fnv.New128a()
	fmt.Fprintf(h, "%s/%d", node, g)
	return ServerID(hex.EncodeToString(h.Sum(nil)) + "@" + string(node))
}
