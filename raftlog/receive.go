package raftlog

import (
	"fmt"
	"slices"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// reply answers a request of another host.
type reply = func([]byte, error)

// handle sets the handlers of all methods.
func (h *Host) handle() {
	n := h.cfg.Network
	n.Handle(methodAppend, h.guard(h.handleAppend))
	n.Handle(methodVote, h.guard(h.handleVote))
	n.Handle(methodPreVote, h.guard(h.handlePreVote))
	n.Handle(methodTimeout, h.guard(h.handleTimeout))
	n.Handle(methodBegin, h.guard(h.handleBegin))
	n.Handle(methodBlock, h.guard(h.handleBlock))
	n.Handle(methodFinish, h.guard(h.handleFinish))
	n.Handle(methodTerms, h.guard(h.handleTerms))
	n.Handle(methodLost, h.guard(h.handleLost))
	n.Handle(methodHashes, h.guard(h.handleHashes))
}

// guard keeps a host that has failed mute: it neither takes requests nor answers
// those that it took before. The answer it gives says nothing.
func (h *Host) guard(handle func(peer.NodeID, []byte, reply)) peer.Handler {
	return func(from peer.NodeID, body []byte, answer func([]byte, error)) {
		if h.failed() {
			answer(nil, ErrClosed)
			return
		}
		handle(from, body, func(body []byte, err error) {
			if h.failed() {
				body, err = nil, ErrClosed
			}
			answer(body, err)
		})
	}
}

// accept finds the running replica that a frame is for.
func (h *Host) accept(from peer.NodeID, body []byte) (*Group, frame, decoder, error) {
	f, d, err := openFrame(body)
	if err != nil {
		return nil, f, d, err
	}
	g := h.group(f.group)
	if g == nil || g.log.server != f.target || f.source.Node() != from || f.source.Lineage() != f.target.Lineage() {
		return nil, f, d, fmt.Errorf("group %d, server %s: %w", f.group, f.target, errFrameRefused)
	}
	return g, f, d, nil
}

// toRaft accepts a frame and hands what decode makes of it to Raft.
func (h *Host) toRaft(from peer.NodeID, body []byte, answer reply, decode func(*incarnation, frame, decoder) (any, error), encode func(any) []byte) {
	g, f, d, err := h.accept(from, body)
	if err != nil {
		answer(nil, err)
		return
	}
	inc := g.incarnation()
	if inc == nil {
		answer(nil, fmt.Errorf("group %d: %w", f.group, errFrameRefused))
		return
	}
	command, err := decode(inc, f, d)
	if err != nil {
		answer(nil, err)
		return
	}
	inc.transport.take(command, func(r raft.RPCResponse) {
		if r.Error != nil {
			answer(nil, r.Error)
			return
		}
		answer(encode(r.Response), nil)
	})
}

func (h *Host) handleAppend(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(_ *incarnation, f frame, d decoder) (any, error) { return decodeAppend(f, d) },
		func(r any) []byte { return encodeAppendAnswer(r.(*raft.AppendEntriesResponse)) })
}

// candidate is the header of a question for a vote.
//
// hashicorp/raft refuses a candidate that has no vote in the newest configuration
// that this replica knows. The Raft paper does not, because this replica may be the
// one that is behind: a configuration with a new voter can be committed by the old
// leader and the new voter alone, and when the leader dies, the new voter holds the
// longest log and nobody votes for it, for ever. Who wins is decided by terms, by
// logs, and by the candidate's own configuration, which counts the votes. So a
// candidate that is not known as a voter is presented under the ID of one that is:
// for a vote, Raft looks up the ID in the configuration and does nothing else with
// it. It remembers votes, and knows a leader, by the address, which stays.
func (inc *incarnation) candidate(source ServerID) raft.RPCHeader {
	h := header(source)
	known := voters(inc.raft.GetConfiguration().Configuration())
	if len(known) > 0 && !slices.Contains(known, source) {
		h.ID = []byte(known[0])
	}
	return h
}

func (h *Host) handleVote(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(inc *incarnation, f frame, d decoder) (any, error) {
			v, err := decodeBallot(d)
			return &raft.RequestVoteRequest{
				RPCHeader: inc.candidate(f.source), Term: v.term,
				LastLogIndex: v.lastIndex, LastLogTerm: v.lastTerm, LeadershipTransfer: v.transfer,
			}, err
		},
		func(r any) []byte {
			v := r.(*raft.RequestVoteResponse)
			return encodeVoteAnswer(v.Term, v.Granted)
		})
}

func (h *Host) handlePreVote(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(inc *incarnation, f frame, d decoder) (any, error) {
			v, err := decodeBallot(d)
			return &raft.RequestPreVoteRequest{
				RPCHeader: inc.candidate(f.source), Term: v.term, LastLogIndex: v.lastIndex, LastLogTerm: v.lastTerm,
			}, err
		},
		func(r any) []byte {
			v := r.(*raft.RequestPreVoteResponse)
			return encodeVoteAnswer(v.Term, v.Granted)
		})
}

func (h *Host) handleTimeout(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(_ *incarnation, f frame, d decoder) (any, error) {
			return &raft.TimeoutNowRequest{RPCHeader: header(f.source)}, d.end()
		},
		func(any) []byte { return nil })
}
