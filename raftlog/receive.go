package raftlog

import (
	"fmt"

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
func (h *Host) toRaft(from peer.NodeID, body []byte, answer reply, decode func(frame, decoder) (any, error), encode func(any) []byte) {
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
	command, err := decode(f, d)
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
		func(f frame, d decoder) (any, error) { return decodeAppend(f, d) },
		func(r any) []byte { return encodeAppendAnswer(r.(*raft.AppendEntriesResponse)) })
}

func (h *Host) handleVote(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(f frame, d decoder) (any, error) {
			v, err := decodeBallot(d)
			return &raft.RequestVoteRequest{
				RPCHeader: header(f.source), Term: v.term,
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
		func(f frame, d decoder) (any, error) {
			v, err := decodeBallot(d)
			return &raft.RequestPreVoteRequest{
				RPCHeader: header(f.source), Term: v.term, LastLogIndex: v.lastIndex, LastLogTerm: v.lastTerm,
			}, err
		},
		func(r any) []byte {
			v := r.(*raft.RequestPreVoteResponse)
			return encodeVoteAnswer(v.Term, v.Granted)
		})
}

func (h *Host) handleTimeout(from peer.NodeID, body []byte, answer reply) {
	h.toRaft(from, body, answer,
		func(f frame, d decoder) (any, error) {
			return &raft.TimeoutNowRequest{RPCHeader: header(f.source)}, d.end()
		},
		func(any) []byte { return nil })
}
