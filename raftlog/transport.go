package raftlog

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// transport is the raft.Transport of one incarnation. All groups of a node share
// the network below it. Every request has a timeout, so that a lost message
// cannot hang Raft.
type transport struct {
	inc      *incarnation
	network  peer.Network
	consumer chan raft.RPC
	waiting  chan asked

	mu     sync.Mutex // guards closed, and waiting against growing when it is set
	closed bool
}

// asked is a request that Raft's main loop has not answered yet.
type asked struct {
	response chan raft.RPCResponse
	reply    func(raft.RPCResponse)
}

const (
	// maxWaitingRequests bounds the requests that wait for Raft's main loop. More
	// are refused, as if they were lost.
	maxWaitingRequests = 64
	// unreachablePoll is how often replication looks whether a lost peer is back.
	unreachablePoll = 25 * time.Millisecond
)

func newTransport(inc *incarnation) *transport {
	return &transport{
		inc:     inc,
		network: inc.group.host.cfg.Network,
		// One more for the request whose answer is being waited for.
		consumer: make(chan raft.RPC, maxWaitingRequests+1),
		waiting:  make(chan asked, maxWaitingRequests),
	}
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
)

// Consumer implements raft.Transport.
func (t *transport) Consumer() <-chan raft.RPC { return t.consumer }

// LocalAddr implements raft.Transport. The address of a server is its ID.
func (t *transport) LocalAddr() raft.ServerAddress {
	return raft.ServerAddress(t.inc.group.log.server)
}

// EncodePeer implements raft.Transport.
func (t *transport) EncodePeer(id raft.ServerID, _ raft.ServerAddress) []byte { return []byte(id) }

// DecodePeer implements raft.Transport.
func (t *transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler implements raft.Transport by doing nothing: heartbeats that
// are handled beside Raft's main loop can let logs diverge (raft#695).
func (t *transport) SetHeartbeatHandler(func(raft.RPC)) {}

func (t *transport) frame(target raft.ServerID) frame {
	return frame{group: t.inc.group.id, target: ServerID(target), source: t.inc.group.log.server}
}

// call asks the node of a server and waits for the answer.
func (t *transport) call(target raft.ServerID, m peer.Method, class peer.Class, body []byte, timeout time.Duration) ([]byte, error) {
	if t.inc.group.host.failed() {
		return nil, ErrClosed
	}
	ctx, cancel := context.WithTimeout(t.inc.ctx, timeout)
	defer cancel()
	return peer.Call(ctx, t.network, ServerID(target).Node(), m, class, body)
}

// AppendEntries implements raft.Transport, for heartbeats and for entries.
func (t *transport) AppendEntries(id raft.ServerID, _ raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	heartbeat := args.PrevLogEntry == 0 && args.LeaderCommitIndex == 0 && len(args.Entries) == 0
	class, timeout := peer.Normal, t.inc.group.host.cfg.RequestTimeout
	if heartbeat {
		class, timeout = peer.Urgent, t.inc.group.host.cfg.HeartbeatTimeout/2
		if !t.inc.group.host.beat.wait(t.inc.ctx) {
			return ErrClosed
		}
		if offer := t.inc.group.host.cfg.Faults.OfferSnapshot; offer != nil && offer(t.inc.group.id) {
			t.inc.spawn(func() { t.offerUnasked(id, args.Term) })
		}
	} else if err := t.awaitReachable(ServerID(id), args.Term); err != nil {
		return err
	}
	limitEntries(args)
	answer, err := t.call(id, methodAppend, class, encodeAppend(t.frame(id), args), timeout)
	if err != nil {
		return err
	}
	if err := decodeAppendAnswer(answer, resp); err != nil {
		return err
	}
	t.inc.group.progress.note(ServerID(id), args, resp)
	return nil
}

// awaitReachable waits until there is a connection to the node of a server, as
// long as this replica leads in the term and the server is in the group. Without
// it, each failed attempt would double Raft's pause before the next one, up to
// 10 s, and a node that is back would stay behind for so long.
func (t *transport) awaitReachable(id ServerID, term uint64) error {
	for !t.network.Connected(id.Node()) {
		r := t.inc.raft
		if t.inc.group.log.currentTerm() != term || r.State() != raft.Leader || !contains(r.GetConfiguration().Configuration(), id) {
			return peer.ErrUnreachable
		}
		timer := time.NewTimer(unreachablePoll)
		select {
		case <-timer.C:
		case <-t.inc.ctx.Done():
			timer.Stop()
			return ErrClosed
		}
	}
	return nil
}

// limitEntries cuts a request that is too long for a message. Raft goes by the
// entries that are in the request after the call.
func limitEntries(args *raft.AppendEntriesRequest) {
	size := 0
	for i, e := range args.Entries {
		size += len(e.Data)
		if size > maxFrameBytes && i > 0 {
			args.Entries = args.Entries[:i]
			return
		}
	}
}

// RequestVote implements raft.Transport.
func (t *transport) RequestVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) (err error) {
	v := ballot{args.Term, args.LastLogIndex, args.LastLogTerm, args.LeadershipTransfer}
	resp.Term, resp.Granted, err = t.ballot(id, methodVote, v)
	return err
}

// RequestPreVote implements raft.WithPreVote.
func (t *transport) RequestPreVote(id raft.ServerID, _ raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) (err error) {
	v := ballot{term: args.Term, lastIndex: args.LastLogIndex, lastTerm: args.LastLogTerm}
	resp.Term, resp.Granted, err = t.ballot(id, methodPreVote, v)
	return err
}

func (t *transport) ballot(id raft.ServerID, m peer.Method, v ballot) (uint64, bool, error) {
	answer, err := t.call(id, m, peer.Urgent, encodeBallot(t.frame(id), v), t.inc.patience.current())
	if err != nil {
		return 0, false, err
	}
	return decodeVoteAnswer(answer)
}

// TimeoutNow implements raft.Transport.
func (t *transport) TimeoutNow(id raft.ServerID, _ raft.ServerAddress, _ *raft.TimeoutNowRequest, _ *raft.TimeoutNowResponse) error {
	_, err := t.call(id, methodTimeout, peer.Urgent, seal(t.frame(id).begin(0)), t.inc.group.host.cfg.ElectionTimeout)
	return err
}

// InstallSnapshot implements raft.Transport. data is ours, from snapshotStore.
func (t *transport) InstallSnapshot(id raft.ServerID, _ raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, _ io.Reader) error {
	return t.sendSnapshot(id, args, resp)
}

// take hands a request of another replica to Raft's main loop. It does not block.
func (t *transport) take(command any, reply func(raft.RPCResponse)) {
	w := asked{response: make(chan raft.RPCResponse, 1), reply: reply}
	if err := t.enqueue(command, w); err != nil {
		reply(raft.RPCResponse{Error: err})
	}
}

func (t *transport) enqueue(command any, w asked) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errFrameRefused
	}
	select {
	case t.waiting <- w:
		// There is room: all requests in consumer are in waiting, but for one.
		t.consumer <- raft.RPC{Command: command, RespChan: w.response}
		return nil
	default:
		return fmt.Errorf("group %d: %w", t.inc.group.id, peer.ErrBusy)
	}
}

// answer sends Raft's answers, which come in the order of the requests.
func (t *transport) answer() {
	for {
		select {
		case <-t.inc.stopped:
			t.refuseRest()
			return
		case w := <-t.waiting:
			select {
			case r := <-w.response:
				w.reply(r)
			case <-t.inc.stopped:
				w.reply(raft.RPCResponse{Error: errFrameRefused})
			}
		}
	}
}

func (t *transport) refuseRest() {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	for {
		select {
		case w := <-t.waiting:
			w.reply(raft.RPCResponse{Error: errFrameRefused})
		default:
			return
		}
	}
}
