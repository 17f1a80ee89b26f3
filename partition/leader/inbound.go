package leader

import (
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// laneCalls is how many runs of one lane may wait to be recorded.
const laneCalls = 64

// inLane is the way of another partition's letters to this one. A letter's mail is
// recorded by a turn or stored in an inbox; an entry that does either for one
// letter does it, at the latest, for all letters before it, so that the number up
// to which all are recorded can be written with it.
type inLane struct {
	from      uint32
	received  uint64  // letters up to here were taken
	waiting   []*mail // of them those that are not recorded yet, in their order
	noted     uint64  // up to here the state has them, once all entries are applied
	committed uint64  // up to here it has them
	calls     []laneCall
}

// laneCall is a sender who waits until letters up to a number are recorded.
type laneCall struct {
	last    uint64
	crowded []Crowd // entities that it signals
	done    func(LaneAnswer, error)
}

// prefix returns the number up to which all letters are recorded by entries that
// were proposed, or by that under construction.
func (lane *inLane) prefix() uint64 {
	if len(lane.waiting) > 0 {
		return lane.waiting[0].letter - 1
	}
	return lane.received
}

// Deliver hands a run of letters over. It does not block. done is called once,
// from any goroutine: when all of them are recorded and that is committed, or
// earlier with the number up to which that is so. After an error
// ([ErrOverloaded], [ErrNotLeading]) nothing of the run was taken.
func (l *Leader) Deliver(run LaneRun, done func(LaneAnswer, error)) {
	if err := l.core.mailbox.push(&delivery{run, done}, lanes); err != nil {
		done(LaneAnswer{}, err)
	}
}

// delivery is a message: letters of another partition.
type delivery struct {
	LaneRun
	done func(LaneAnswer, error)
}

func (d *delivery) fail() { d.done(LaneAnswer{}, ErrNotLeading) }

func (d *delivery) handle(c *core) error {
	lane, err := c.inLane(d.From)
	if err != nil {
		d.fail()
		return err
	}
	if len(d.Asked) > 0 {
		still, err := c.crowdsAmong(d.Asked)
		if err != nil {
			d.fail()
			return err
		}
		d.done(LaneAnswer{lane.committed, c.cut, still}, nil)
		return nil
	}
	if len(lane.calls) >= laneCalls {
		d.done(LaneAnswer{}, ErrOverloaded)
		return nil
	}
	if d.First > lane.received+1 {
		d.done(LaneAnswer{lane.committed, c.cut, nil}, nil) // one before it is missing
		return nil
	}
	last := d.First + uint64(len(d.Letters)) - 1
	var crowded []Crowd
	for i, data := range d.Letters {
		n := d.First + uint64(i)
		if n <= lane.received {
			continue // sent again
		}
		if len(c.runnable) >= c.cfg.Limits.Runnable {
			last = n - 1 // the tail is refused, never one in the middle
			break
		}
		letter, err := partition.DecodeLetter(data)
		if err != nil {
			d.done(LaneAnswer{}, err)
			return fmt.Errorf("letter %d of the lane from partition %d: %w", n, d.From, err)
		}
		m := &mail{lane: lane, letter: n}
		lane.received = n
		lane.waiting = append(lane.waiting, m)
		c.stats.Letters++
		if err := c.deliver(letter, m); err != nil {
			d.done(LaneAnswer{}, ErrNotLeading)
			return err
		}
		if letter.Event.Body.Kind() == history.KindEntityOperationSignaled {
			crowded = c.addCrowd(crowded, m.to.ref)
		}
	}
	if last <= lane.committed {
		d.done(LaneAnswer{lane.committed, c.cut, crowded}, nil)
		return nil
	}
	lane.calls = append(lane.calls, laneCall{last, crowded, d.done})
	return nil
}

// inLane returns the lane from a partition.
func (c *core) inLane(from uint32) (*inLane, error) {
	for _, lane := range c.inLanes {
		if lane.from == from {
			return lane, nil
		}
	}
	l, err := partition.ReadInLane(&c.view, c.cfg.Partition, from)
	if err != nil {
		return nil, err
	}
	lane := &inLane{from: from, received: l.Received, noted: l.Received, committed: l.Received}
	c.inLanes = append(c.inLanes, lane)
	return lane, nil
}

// arrived notes that the entry under construction records a letter's mail, and
// lets it record all that came before it in the lane.
func (c *core) arrived(m *mail) error {
	lane := m.lane
	m.lane = nil
	for len(lane.waiting) > 0 && lane.waiting[0].letter <= m.letter {
		w := lane.waiting[0]
		lane.waiting[0] = nil
		lane.waiting = lane.waiting[1:]
		if w != m && w.lane != nil {
			if err := c.store(w.to); err != nil {
				return err
			}
		}
	}
	return nil
}

// discard lets mail go that nobody takes. It leaves no row, so nothing before it
// in its lane has to be recorded for its sake.
func (c *core) discard(m *mail) {
	if m.recorded != nil {
		c.refuse(m.recorded)
	}
	if q := m.call; q != nil && q.update != nil {
		m.call = nil
		c.concludeUpdate(q, partition.NewAddress(c.cfg.Partition, q.ref.Hub, q.ref.ID), nil)
	} else if q != nil {
		m.call = nil
		addr := partition.NewAddress(c.cfg.Partition, q.ref.Hub, q.ref.ID)
		var err error
		if q.complete != nil {
			err = ErrStale // nobody waits for it any more
		}
		c.remember(q, addr, partition.Answer{Code: codeOf(err)})
		c.answer(q, StartAnswer{}, err)
	}
	if m.Sent != 0 {
		partition.Taken(&c.view, c.cfg.Partition, &m.Mail)
	}
	if lane := m.lane; lane != nil {
		m.lane = nil
		for i, w := range lane.waiting {
			if w == m {
				lane.waiting = append(lane.waiting[:i], lane.waiting[i+1:]...)
				break
			}
		}
		c.view.open.needed = true // the number is to be written
	}
}

// settled answers the senders whose letters are recorded.
func (lane *inLane) settled(through, cut uint64) {
	lane.committed = max(lane.committed, through)
	kept := lane.calls[:0]
	for _, call := range lane.calls {
		if call.last <= lane.committed {
			call.done(LaneAnswer{lane.committed, cut, call.crowded}, nil)
		} else {
			kept = append(kept, call)
		}
	}
	clear(lane.calls[len(kept):])
	lane.calls = kept
}
