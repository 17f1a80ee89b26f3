package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// The methods between hosts.
const (
	methodAppend   peer.Method = "raft.append"
	methodVote     peer.Method = "raft.vote"
	methodPreVote  peer.Method = "raft.prevote"
	methodTimeout  peer.Method = "raft.timeoutnow"
	methodBegin    peer.Method = "raft.snapshot.begin"
	methodBlock    peer.Method = "raft.snapshot.block"
	methodFinish   peer.Method = "raft.snapshot.finish"
	methodTerms    peer.Method = "raft.terms"
	methodLost     peer.Method = "raft.lost"
	methodHashes   peer.Method = "raft.hashes"
	wireVersion                = 1
	frameSumBytes              = 8
	maxFrameBytes              = 6 << 20  // of entries in one message, about
	maxConfigBytes             = 64 << 10 // of an encoded configuration
)

// errFrameRefused answers a frame that is not for a replica of this node: another
// server ID, an unknown group, a replica that is starting again.
var errFrameRefused = errors.New("no such replica is running here")

// frame is the head of every message between two replicas.
type frame struct {
	group  GroupID
	target ServerID
	source ServerID
}

// A frame is version (1), group (4), target and source (length and bytes), the
// body, and an xxhash64 over all before it.
func (f frame) begin(size int) []byte {
	b := make([]byte, 0, size+len(f.target)+len(f.source)+32)
	b = append(b, wireVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(f.group))
	b = appendString(b, string(f.target))
	return appendString(b, string(f.source))
}

func seal(b []byte) []byte {
	return binary.BigEndian.AppendUint64(b, xxhash.Sum64(b))
}

// unseal checks version and sum and returns what is between them.
func unseal(b []byte) ([]byte, error) {
	if len(b) < 1+frameSumBytes {
		return nil, errShort
	}
	body := b[:len(b)-frameSumBytes]
	if binary.BigEndian.Uint64(b[len(body):]) != xxhash.Sum64(body) {
		return nil, errors.New("message has a wrong checksum")
	}
	if body[0] != wireVersion {
		return nil, fmt.Errorf("message has version %d, this node knows %d", body[0], wireVersion)
	}
	return body[1:], nil
}

func openFrame(b []byte) (frame, decoder, error) {
	body, err := unseal(b)
	if err != nil {
		return frame{}, decoder{}, err
	}
	d := decoder{b: body}
	f := frame{
		group:  GroupID(d.uint32()),
		target: ServerID(d.string(maxServerBytes)),
		source: ServerID(d.string(maxServerBytes)),
	}
	return f, d, d.err
}

func encodeAppend(f frame, a *raft.AppendEntriesRequest) []byte {
	size := 64
	for _, e := range a.Entries {
		size += 32 + len(e.Data)
	}
	b := f.begin(size)
	b = binary.BigEndian.AppendUint64(b, a.Term)
	b = binary.BigEndian.AppendUint64(b, a.PrevLogEntry)
	b = binary.BigEndian.AppendUint64(b, a.PrevLogTerm)
	b = binary.BigEndian.AppendUint64(b, a.LeaderCommitIndex)
	b = binary.BigEndian.AppendUint32(b, uint32(len(a.Entries)))
	for _, e := range a.Entries {
		b = binary.BigEndian.AppendUint64(b, e.Index)
		b = binary.BigEndian.AppendUint64(b, e.Term)
		b = append(b, byte(e.Type))
		b = binary.BigEndian.AppendUint64(b, unixNanos(e.AppendedAt))
		b = appendBytes(b, e.Data)
	}
	return seal(b)
}

// decodeAppend reads a request. Its entries alias the input.
//
// The commit index is cut at the last index that the message vouches for, as the
// Raft paper has it. hashicorp/raft reads its commit index after it has chosen
// the entries to send, and a follower takes it up to the end of its own log: a
// follower with a conflicting tail could apply an entry that was never committed.
func decodeAppend(f frame, d decoder) (*raft.AppendEntriesRequest, error) {
	a := &raft.AppendEntriesRequest{
		RPCHeader:         header(f.source),
		Term:              d.uint64(),
		PrevLogEntry:      d.uint64(),
		PrevLogTerm:       d.uint64(),
		LeaderCommitIndex: d.uint64(),
	}
	n := d.uint32()
	if n > 1024 {
		return nil, errShort
	}
	logs := make([]raft.Log, n)
	a.Entries = make([]*raft.Log, n)
	for i := range logs {
		logs[i] = raft.Log{
			Index:      d.uint64(),
			Term:       d.uint64(),
			Type:       raft.LogType(d.uint8()),
			AppendedAt: fromUnixNanos(d.uint64()),
			Data:       d.bytes(MaxEntryBytes + writeHeaderBytes),
		}
		a.Entries[i] = &logs[i]
		if logs[i].Index != a.PrevLogEntry+uint64(i)+1 && d.err == nil {
			return nil, fmt.Errorf("entry %d follows entry %d", logs[i].Index, a.PrevLogEntry+uint64(i))
		}
	}
	a.LeaderCommitIndex = min(a.LeaderCommitIndex, a.PrevLogEntry+uint64(n))
	return a, d.end()
}

func encodeAppendAnswer(r *raft.AppendEntriesResponse) []byte {
	b := []byte{wireVersion}
	b = binary.BigEndian.AppendUint64(b, r.Term)
	b = binary.BigEndian.AppendUint64(b, r.LastLog)
	b = appendBool(b, r.Success)
	return seal(appendBool(b, r.NoRetryBackoff))
}

func decodeAppendAnswer(b []byte, r *raft.AppendEntriesResponse) error {
	body, err := unseal(b)
	if err != nil {
		return err
	}
	d := decoder{b: body}
	r.Term, r.LastLog, r.Success, r.NoRetryBackoff = d.uint64(), d.uint64(), d.bool(), d.bool()
	return d.end()
}

// ballot is a vote or a question for one.
type ballot struct {
	term, lastIndex, lastTerm uint64
	transfer                  bool
}

func encodeBallot(f frame, v ballot) []byte {
	b := f.begin(32)
	b = binary.BigEndian.AppendUint64(b, v.term)
	b = binary.BigEndian.AppendUint64(b, v.lastIndex)
	b = binary.BigEndian.AppendUint64(b, v.lastTerm)
	return seal(appendBool(b, v.transfer))
}

func decodeBallot(d decoder) (ballot, error) {
	v := ballot{d.uint64(), d.uint64(), d.uint64(), d.bool()}
	return v, d.end()
}

func encodeVoteAnswer(term uint64, granted bool) []byte {
	b := binary.BigEndian.AppendUint64([]byte{wireVersion}, term)
	return seal(appendBool(b, granted))
}

func decodeVoteAnswer(b []byte) (term uint64, granted bool, err error) {
	body, err := unseal(b)
	if err != nil {
		return 0, false, err
	}
	d := decoder{b: body}
	term, granted = d.uint64(), d.bool()
	return term, granted, d.end()
}

// header is what Raft wants to know of a sender. The address of a server is its
// ID: votes are remembered by address, so a new replica never has an old vote.
func header(source ServerID) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(source), Addr: []byte(source)}
}
