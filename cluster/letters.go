package cluster

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/partition/leader"
)

const (
	methodLetters = peer.Method("partition/letters")
	// letterPatience is how long a run of letters may wait for its answer. Its
	// receiver records it within milliseconds, or says that it does not.
	letterPatience = 10 * time.Second
)

// courier brings letters to the leaders of other partitions, for all leaders on
// this node. It implements [leader.Courier].
type courier struct {
	node  *Node
	tries atomic.Uint32 // of partitions whose leader is not known
}

var _ leader.Courier = (*courier)(nil)

// Carry implements [leader.Courier]. It speaks to the network itself and not
// through rpc, whose handlers may overtake each other.
func (k *courier) Carry(run leader.LaneRun, done func(leader.LaneAnswer, error)) {
	n := k.node
	if l, _ := n.localLeader(run.To); l != nil {
		l.Deliver(run, done)
		return
	}
	to, ok := n.guessLeader(run.To, int(k.tries.Load()))
	if !ok {
		done(leader.LaneAnswer{}, fmt.Errorf("partition %d: %w", run.To, errNotHere))
		return
	}
	body, err := msgpack.Marshal(run)
	if err != nil {
		done(leader.LaneAnswer{}, fmt.Errorf("encode letters: %w", err))
		return
	}
	ctx, cancel := context.WithTimeout(n.ctx, letterPatience)
	n.net.Request(ctx, to, methodLetters, peer.Normal, body, func(b []byte, err error) {
		cancel()
		var answer leader.LaneAnswer
		if err == nil {
			b, err = decodeAnswer(b)
		}
		if err == nil {
			err = msgpack.Unmarshal(b, &answer)
		}
		if err != nil {
			k.tries.Add(1)
			err = fmt.Errorf("bring letters for partition %d to %s: %w", run.To, to, err)
		}
		n.learnLeader(run.To, to, err)
		done(answer, err)
	})
}

// handleLetters takes letters for a partition that is led here.
func (n *Node) handleLetters(_ peer.NodeID, body []byte, reply func([]byte, error)) {
	var run leader.LaneRun
	if err := msgpack.Unmarshal(body, &run); err != nil {
		reply(encodeAnswer(nil, fmt.Errorf("decode letters: %w", err)), nil)
		return
	}
	l, _ := n.localLeader(run.To)
	if l == nil {
		reply(encodeAnswer(nil, n.away(run.To)), nil)
		return
	}
	l.Deliver(run, func(answer leader.LaneAnswer, err error) {
		var b []byte
		if err == nil {
			b, err = msgpack.Marshal(answer)
		}
		reply(encodeAnswer(b, err), nil)
	})
}
