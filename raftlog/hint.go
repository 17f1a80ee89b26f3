package raftlog

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// The crash hint. Timers notice a dead leader after one to two seconds; that its
// process is gone is often known at once, because its connections were refused or
// reset. A follower that hears so asks the other voters, and if a majority has
// lost the process too it lets its own Raft begin an election, as if the leader
// had handed over. The pause between two hints of a group doubles, so that a
// wrong hint cannot keep a group from work.

// hint limits how often one group follows a hint.
type hint struct {
	mu    sync.Mutex // guards the fields below
	busy  bool
	last  time.Time
	pause time.Duration
}

// hintStagger is how much later each voter with a shorter log goes, so that two
// do not split the votes.
const hintStagger = 60 * time.Millisecond

// lost is called when the process of a node is gone. It does not block.
func (t *hint) lost(g *Group, n peer.NodeID) {
	inc := g.incarnation()
	if inc == nil || g.host.failed() {
		return
	}
	_, leader := inc.raft.LeaderWithID()
	if leader == "" || ServerID(leader).Node() != n || n == g.host.cfg.Self || inc.raft.State() != raft.Follower {
		return
	}
	ids := voters(inc.raft.GetConfiguration().Configuration())
	if !slices.Contains(ids, g.log.server) || !t.begin(g.host.cfg.ElectionTimeout) {
		return
	}
	term := g.log.currentTerm()
	inc.spawn(func() {
		defer t.end()
		rank, ok := inc.askLost(n, ServerID(leader), term, ids)
		if !ok {
			return
		}
		timer := time.NewTimer(time.Duration(rank) * hintStagger)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-inc.ctx.Done():
			return
		}
		_, now := inc.raft.LeaderWithID()
		if inc.raft.State() != raft.Follower || g.log.currentTerm() != term || now != "" && now != leader {
			return
		}
		g.host.cfg.Logger.Debug("leader's process is gone, calling an election", "group", g.id, "leader", leader)
		inc.transport.take(&raft.TimeoutNowRequest{RPCHeader: header(g.log.server)}, func(raft.RPCResponse) {})
	})
}

// begin reports whether a hint may be followed now.
func (t *hint) begin(electionTimeout time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.pause < electionTimeout || now.Sub(t.last) > 16*t.pause {
		t.pause = electionTimeout
	}
	if t.busy || !t.last.IsZero() && now.Sub(t.last) < t.pause {
		return false
	}
	if !t.last.IsZero() && now.Sub(t.last) <= 16*t.pause {
		t.pause *= 2
	}
	t.busy, t.last = true, now
	return true
}

func (t *hint) end() {
	t.mu.Lock()
	t.busy = false
	t.mu.Unlock()
}

// lostAnswer is what a voter says about a process that another one has lost.
type lostAnswer struct {
	agrees              bool
	lastTerm, lastIndex uint64 // of its log
}

// askLost asks the other voters whether they too have lost the leader's process
// and know of no newer leader. It reports whether a majority, this replica
// included, says so, and how many of those have a better claim to lead.
func (inc *incarnation) askLost(n peer.NodeID, leader ServerID, term uint64, ids []ServerID) (rank int, ok bool) {
	g := inc.group
	ctx, cancel := context.WithTimeout(inc.ctx, g.host.cfg.ElectionTimeout/2)
	defer cancel()
	type answer struct {
		from ServerID
		lostAnswer
	}
	answers := make(chan answer, len(ids))
	waiting := 0
	for _, id := range ids {
		if id == g.log.server || id.Node() == n {
			continue
		}
		waiting++
		b := frame{g.id, id, g.log.server}.begin(64)
		b = appendString(b, string(leader))
		b = binary.BigEndian.AppendUint64(b, term)
		g.host.cfg.Network.Request(ctx, id.Node(), methodLost, peer.Urgent, seal(b), func(body []byte, err error) {
			a := answer{from: id}
			if err == nil {
				a.lostAnswer = decodeLostAnswer(body)
			}
			answers <- a
		})
	}
	own := inc.ownLost()
	agree := 1
	for ; waiting > 0; waiting-- {
		a := <-answers
		if !a.agrees {
			continue
		}
		agree++
		if betterLog(a.lostAnswer, own, a.from, g.log.server) {
			rank++
		}
	}
	return rank, agree > len(ids)/2
}

// betterLog reports whether a's log is newer than b's, or equal and its ID lower.
func betterLog(a, b lostAnswer, idA, idB ServerID) bool {
	if a.lastTerm != b.lastTerm {
		return a.lastTerm > b.lastTerm
	}
	if a.lastIndex != b.lastIndex {
		return a.lastIndex > b.lastIndex
	}
	return bytes.Compare([]byte(idA), []byte(idB)) < 0
}

func (inc *incarnation) ownLost() lostAnswer {
	a := lostAnswer{agrees: true, lastIndex: inc.raft.LastIndex()}
	var l raft.Log
	if inc.group.log.GetLog(a.lastIndex, &l) == nil {
		a.lastTerm = l.Term
	} else if list, _ := (snapshotStore{inc.group}).List(); len(list) > 0 {
		a.lastTerm = list[0].Term
	}
	return a
}

func decodeLostAnswer(b []byte) lostAnswer {
	body, err := unseal(b)
	if err != nil {
		return lostAnswer{}
	}
	d := decoder{b: body}
	a := lostAnswer{d.bool(), d.uint64(), d.uint64()}
	if d.end() != nil {
		return lostAnswer{}
	}
	return a
}

func (h *Host) handleLost(from peer.NodeID, body []byte, answer reply) {
	g, _, d, err := h.accept(from, body)
	if err != nil {
		answer(nil, err)
		return
	}
	leader, term := ServerID(d.string(maxServerBytes)), d.uint64()
	if err := d.end(); err != nil {
		answer(nil, err)
		return
	}
	inc := g.incarnation()
	if inc == nil {
		answer(nil, errFrameRefused)
		return
	}
	// It reads the log store: not on the network's goroutine, and not after the end.
	if !inc.spawn(func() { answer(inc.sayLost(leader, term), nil) }) {
		answer(nil, errFrameRefused)
	}
}

// sayLost answers whether this replica too has lost a leader's process.
func (inc *incarnation) sayLost(leader ServerID, term uint64) []byte {
	g := inc.group
	a := inc.ownLost()
	_, known := inc.raft.LeaderWithID()
	a.agrees = !g.host.cfg.Network.Connected(leader.Node()) && g.log.currentTerm() <= term &&
		inc.raft.State() != raft.Leader && (known == "" || ServerID(known) == leader)
	b := appendBool([]byte{wireVersion}, a.agrees)
	b = binary.BigEndian.AppendUint64(b, a.lastTerm)
	b = binary.BigEndian.AppendUint64(b, a.lastIndex)
	return seal(b)
}
