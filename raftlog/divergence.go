package raftlog

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/reprise-run/reprise/internal/peer"
)

// checkpoint is the rolling hash of all commands below an index.
type checkpoint struct {
	boundary uint64
	hash     uint64
}

// divergence compares the rolling hash of a replica with those of the others.
// Each replica tells the voters its hash every HashInterval indexes. One that
// sees a majority of the voters agree on another hash than its own is wrong, and
// is quarantined.
type divergence struct {
	group *Group

	mu     sync.Mutex // guards rounds
	rounds []hashRound
}

// hashRound is what is known about one boundary.
type hashRound struct {
	boundary uint64
	own      uint64
	reached  bool // own is set
	others   map[ServerID]uint64
}

// maxHashRounds bounds how many boundaries are remembered. Replicas that are
// further apart are compared at a later one.
const maxHashRounds = 16

func newDivergence(g *Group) *divergence { return &divergence{group: g} }

// round returns the round of a boundary, nil if it is too old. Call with mu held.
func (d *divergence) round(boundary uint64) *hashRound {
	at := len(d.rounds)
	for at > 0 && d.rounds[at-1].boundary >= boundary {
		at--
		if d.rounds[at].boundary == boundary {
			return &d.rounds[at]
		}
	}
	if len(d.rounds) == maxHashRounds {
		if at == 0 {
			return nil
		}
		d.rounds = append(d.rounds[:0], d.rounds[1:]...)
		at--
	}
	d.rounds = append(d.rounds, hashRound{})
	copy(d.rounds[at+1:], d.rounds[at:])
	d.rounds[at] = hashRound{boundary: boundary, others: make(map[ServerID]uint64)}
	return &d.rounds[at]
}

// reached notes checkpoints of this replica and tells the other voters the
// newest. It is called by apply and does not block.
func (d *divergence) reached(points []checkpoint) {
	d.mu.Lock()
	for _, p := range points {
		if r := d.round(p.boundary); r != nil {
			r.own, r.reached = p.hash, true
		}
	}
	d.mu.Unlock()
	g := d.group
	inc := g.incarnation()
	if inc == nil {
		return
	}
	newest := points[len(points)-1]
	for _, id := range voters(inc.raft.GetConfiguration().Configuration()) {
		if id != g.log.server {
			d.tell(inc.ctx, id, newest)
		}
	}
	d.judge(newest.boundary)
}

// tell sends a checkpoint to another replica. If it is lost, there will be a next.
func (d *divergence) tell(ctx context.Context, to ServerID, p checkpoint) {
	g := d.group
	b := frame{g.id, to, g.log.server}.begin(16)
	b = binary.BigEndian.AppendUint64(b, p.boundary)
	b = binary.BigEndian.AppendUint64(b, p.hash)
	ctx, cancel := context.WithTimeout(ctx, g.host.cfg.RequestTimeout)
	g.host.cfg.Network.Request(ctx, to.Node(), methodHashes, peer.Normal, seal(b), func([]byte, error) { cancel() })
}

func (h *Host) handleHashes(from peer.NodeID, body []byte, answer reply) {
	g, f, dec, err := h.accept(from, body)
	if err != nil {
		answer(nil, err)
		return
	}
	p := checkpoint{dec.uint64(), dec.uint64()}
	if err := dec.end(); err != nil {
		answer(nil, err)
		return
	}
	d := g.divergence
	d.mu.Lock()
	if r := d.round(p.boundary); r != nil {
		r.others[f.source] = p.hash
	}
	d.mu.Unlock()
	d.judge(p.boundary)
	answer(nil, nil)
}

// judge quarantines this replica if a majority of the voters agree on another
// hash at the boundary.
func (d *divergence) judge(boundary uint64) {
	g := d.group
	inc := g.incarnation()
	if inc == nil {
		return
	}
	ids := voters(inc.raft.GetConfiguration().Configuration())
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.round(boundary)
	if r == nil || !r.reached {
		return
	}
	agree := make(map[uint64]int)
	for _, id := range ids {
		if hash, ok := r.others[id]; ok && hash != r.own {
			agree[hash]++
		}
	}
	for hash, n := range agree {
		reason := fmt.Sprintf("at index %d its rolling hash is %016x, that of %d of %d voters is %016x", boundary, r.own, n, len(ids), hash)
		if n <= len(ids)/2 {
			g.host.cfg.Logger.Error("replicas differ, and there is no majority against this one", "group", g.id, "server", g.log.server, "detail", reason)
			continue
		}
		// Not here: apply may be waiting for us, and stopping Raft waits for apply.
		g.host.tasks.Go(func() { g.quarantine(reason) })
	}
}
