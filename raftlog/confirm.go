package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

// The read check. A replica that led in term T at some moment after a read
// arrived may answer it from what it has applied. It asks the voters for their
// current term, in frames sent after the read arrived: if a majority still has
// T, no later leader had been elected before, because it would have needed the
// vote, and so the term, of one of them.
//
// Answers come from memory, not through Raft's main loop: a term is in memory
// only after it is on disk, and before anybody hears of a vote in it.

// confirmer asks peers, one frame at a time for all groups and readers that wait.
type confirmer struct {
	host *Host

	mu    sync.Mutex // guards peers
	peers map[peer.NodeID]*termAsker
}

// termAsker is the traffic with one peer. While a frame is under way, readers
// gather for the next one, which takes all of them: a frame that is not answered
// ends soon, so what waits for a dead peer is what arrives in that time.
type termAsker struct {
	asking bool // a frame is under way
	next   map[termQuestion][]termAnswer
}

// termQuestion asks a voter for its term, once for all readers that wait.
type termQuestion struct {
	group GroupID
	voter ServerID
}

// termAnswer is called once.
type termAnswer func(term uint64, ok bool)

// maxTermQuestions bounds a frame. There are fewer groups on a node.
const maxTermQuestions = 1024

func newConfirmer(h *Host) *confirmer {
	return &confirmer{host: h, peers: make(map[peer.NodeID]*termAsker)}
}

// confirm is the read check for a reign.
func (c *confirmer) confirm(ctx context.Context, r *Reign) error {
	g := r.group
	inc := g.incarnation()
	if inc == nil || !r.open() || inc.raft.State() != raft.Leader || g.log.currentTerm() != r.term {
		return ErrNotLeader
	}
	ids := voters(inc.raft.GetConfiguration().Configuration())
	need := len(ids)/2 + 1
	answers := make(chan bool, len(ids))
	for _, id := range ids {
		if id == g.log.server {
			answers <- true
			continue
		}
		c.ask(id.Node(), termQuestion{g.id, id}, func(term uint64, ok bool) { answers <- ok && term == r.term })
	}
	good, bad := 0, 0
	for good < need {
		if bad > len(ids)-need {
			return fmt.Errorf("read check of group %d: no majority confirms term %d: %w", g.id, r.term, ErrNotLeader)
		}
		select {
		case ok := <-answers:
			if ok {
				good++
			} else {
				bad++
			}
		case <-r.over:
			return ErrReignOver
		case <-ctx.Done():
			return fmt.Errorf("read check of group %d: %w", g.id, ctx.Err())
		}
	}
	if !r.open() || g.log.currentTerm() != r.term {
		return ErrReignOver
	}
	return nil
}

// ask puts a question into the next frame to a peer.
func (c *confirmer) ask(n peer.NodeID, q termQuestion, answer termAnswer) {
	c.mu.Lock()
	a := c.peers[n]
	if a == nil {
		a = &termAsker{next: make(map[termQuestion][]termAnswer)}
		c.peers[n] = a
	}
	_, asked := a.next[q]
	full := !asked && len(a.next) == maxTermQuestions
	if !full {
		a.next[q] = append(a.next[q], answer)
	}
	send := !full && !a.asking
	a.asking = a.asking || send
	c.mu.Unlock()
	switch {
	case full:
		answer(0, false)
	case send:
		c.send(n, a)
	}
}

// send sends what waits for a peer, and after the answer what has come meanwhile.
func (c *confirmer) send(n peer.NodeID, a *termAsker) {
	c.mu.Lock()
	if len(a.next) == 0 {
		a.asking = false
		c.mu.Unlock()
		return
	}
	waiting := a.next
	a.next = make(map[termQuestion][]termAnswer)
	c.mu.Unlock()
	questions := slices.Collect(maps.Keys(waiting))
	ctx, cancel := context.WithTimeout(context.Background(), c.host.cfg.HeartbeatTimeout)
	c.host.cfg.Network.Request(ctx, n, methodTerms, peer.Urgent, encodeTermQuestions(questions), func(body []byte, err error) {
		cancel()
		terms, err := decodeTerms(body, err, len(questions))
		for i, q := range questions {
			for _, answer := range waiting[q] {
				if err != nil {
					answer(0, false)
				} else {
					answer(terms[i], terms[i] > 0)
				}
			}
		}
		// Not on this goroutine, which is the network's and may hold its locks,
		// and not without end where a request fails at once.
		go c.send(n, a)
	})
}

// A question is version (1), number (4), and for each group and voter; its answer
// is version (1), number (4), and the terms, 0 for a replica that is not there.
func encodeTermQuestions(cases []termQuestion) []byte {
	b := binary.BigEndian.AppendUint32([]byte{wireVersion}, uint32(len(cases)))
	for _, q := range cases {
		b = binary.BigEndian.AppendUint32(b, uint32(q.group))
		b = appendString(b, string(q.voter))
	}
	return seal(b)
}

func decodeTerms(b []byte, err error, want int) ([]uint64, error) {
	if err != nil {
		return nil, err
	}
	body, err := unseal(b)
	if err != nil {
		return nil, err
	}
	d := decoder{b: body}
	if n := d.uint32(); int64(n) != int64(want) {
		return nil, errors.New("wrong number of terms")
	}
	terms := make([]uint64, want)
	for i := range terms {
		terms[i] = d.uint64()
	}
	return terms, d.end()
}

func (h *Host) handleTerms(_ peer.NodeID, body []byte, answer reply) {
	body, err := unseal(body)
	if err != nil {
		answer(nil, err)
		return
	}
	d := decoder{b: body}
	n := d.uint32()
	if n > maxTermQuestions {
		answer(nil, errShort)
		return
	}
	b := binary.BigEndian.AppendUint32([]byte{wireVersion}, n)
	for range n {
		id, server := GroupID(d.uint32()), ServerID(d.string(maxServerBytes))
		term := uint64(0)
		// A replica that is being replaced by a snapshot may answer: its term
		// stays. One in quarantine may not.
		if g := h.group(id); g != nil && g.log.server == server && !g.isQuarantined() {
			term = g.log.currentTerm()
		}
		b = binary.BigEndian.AppendUint64(b, term)
	}
	if err := d.end(); err != nil {
		answer(nil, err)
		return
	}
	answer(seal(b), nil)
}
