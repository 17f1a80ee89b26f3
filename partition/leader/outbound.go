package leader

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

const (
	// laneBatch and laneBatchBytes bound one run of letters.
	laneBatch      = 256
	laneBatchBytes = 1 << 20
	// laneWindow is how many runs of one lane may be under way.
	laneWindow = 4
	// trimRows is how many letters that the receiver has recorded stay until they
	// are deleted together; trimAfter is how long fewer of them do.
	trimRows  = 256
	trimAfter = time.Second
	// The waits until a run is sent again that nobody took.
	firstResend = 10 * time.Millisecond
	lastResend  = 500 * time.Millisecond
)

// outLane is the way of this partition's letters to one other. Only committed
// letters leave, and they are read from the state: it holds no letter in memory.
type outLane struct {
	to        uint32
	next      uint64 // the number of the next letter
	committed uint64 // letters up to here may be sent
	sent      uint64 // up to here they are with the courier
	acked     uint64 // up to here the receiver has recorded them
	trimmed   uint64 // up to here they are deleted
	// ackedAt is when the first acknowledged letter came that is not deleted.
	ackedAt time.Duration // of the loop's monotonic clock

	runs   int  // under way
	failed bool // one of them was not taken; the others are waited for
	wait   time.Duration
	resend time.Duration // when to send again; 0: at once

	// starts are the numbers of the letters on their way that start detached
	// orchestrations; those of leaders before are not among them.
	starts []uint64
	// full and fullOfStarts are for those who are parked because so much is on its way.
	full         jam
	fullOfStarts jam
	asking       bool // a question for room is under way
}

// outLane returns the lane to a partition.
func (c *core) outLane(to uint32) *outLane {
	for _, lane := range c.outLanes {
		if lane.to == to {
			return lane
		}
	}
	lane := &outLane{to: to, next: 1}
	c.outLanes = append(c.outLanes, lane)
	return lane
}

// recoverLanes finds out how far the lanes are. Of the letters it reads only the
// first of each lane.
func (c *core) recoverLanes() error {
	lanes, err := partition.ReadOutLanes(&c.view, c.cfg.Partition)
	if err != nil {
		return err
	}
	for to, l := range lanes {
		lane := c.outLane(to)
		lane.next = l.Next
		if to == c.cfg.Partition {
			c.local.left, c.local.taken = true, l.Next-1
			err := partition.ReadOutbox(&c.view, c.cfg.Partition, to, 0, func(sequence uint64, _ []byte, _ int) bool {
				c.local.taken = sequence - 1
				return false
			})
			if err != nil {
				return err
			}
			continue
		}
		lane.committed, lane.acked = l.Next-1, l.Next-1
		err := partition.ReadOutbox(&c.view, c.cfg.Partition, to, 0, func(sequence uint64, _ []byte, _ int) bool {
			lane.acked = sequence - 1
			return false
		})
		if err != nil {
			return err
		}
		lane.sent, lane.trimmed = lane.acked, lane.acked
	}
	return nil
}

// write puts letters into the outbox, in the entry under construction.
func (c *core) write(letters []partition.Letter) error {
	for i := range letters {
		l := &letters[i]
		l.Cut = c.cut
		to := c.cfg.Partition
		if c.cfg.PartitionOf != nil {
			to = c.cfg.PartitionOf(l.Slot())
		}
		if to == 0 {
			return fmt.Errorf("letter of %s to %s: no partition is known for slot %d", l.From, l.To, l.Slot())
		}
		lane := c.outLane(to)
		n := lane.next
		lane.next++
		pieces := partition.Send(&c.view, c.cfg.Partition, to, n, l)
		e := c.view.open
		if e.written == nil {
			e.written = make(map[*outLane]uint64)
		}
		e.written[lane] = n
		if started, ok := l.Event.Body.(*history.ExecutionStarted); ok && started.Parent == nil {
			lane.starts = append(lane.starts, n)
		}
		if to == c.cfg.Partition {
			c.local.add(localLetter{l, n, pieces})
		}
	}
	return nil
}

// noteLanes writes how far the lanes are that the entry under construction
// concerns.
func (c *core) noteLanes() {
	for _, lane := range c.outLanes { // in an order, for people who read entries
		if _, ok := c.view.open.written[lane]; !ok {
			continue
		}
		partition.SetOutLane(&c.view, c.cfg.Partition, lane.to, partition.OutLane{Next: lane.next})
	}
	for _, lane := range c.inLanes {
		n := lane.prefix()
		if c.cfg.Faults.laneCursorEarly() {
			n = lane.received
		}
		if n <= lane.noted {
			continue
		}
		lane.noted = n
		partition.SetInLane(&c.view, c.cfg.Partition, lane.from, partition.InLane{Received: n})
		e := c.view.open
		if e.received == nil {
			e.received = make(map[*inLane]uint64)
		}
		e.received[lane] = n
	}
}

// forward sends what is committed of a lane and not under way.
func (c *core) forward(lane *outLane) error {
	for !lane.failed && lane.runs < laneWindow && lane.sent < lane.committed && c.mono >= lane.resend {
		run := LaneRun{From: c.cfg.Partition, To: lane.to, First: lane.sent + 1, Cut: c.cut}
		for size := 0; lane.sent < lane.committed && len(run.Letters) < laneBatch && size < laneBatchBytes; lane.sent++ {
			letter, err := partition.ReadLetter(c.view.state, c.cfg.Partition, lane.to, lane.sent+1)
			if err != nil {
				return err
			}
			if letter == nil {
				return fmt.Errorf("lane of partition %d to %d: letter %d is not there", c.cfg.Partition, lane.to, lane.sent+1)
			}
			run.Letters = append(run.Letters, letter)
			size += len(letter)
		}
		lane.runs++
		last := lane.sent
		c.cfg.Courier.Carry(run, func(answer LaneAnswer, err error) {
			_ = c.mailbox.push(&laneEcho{lane, last, answer, err}, internal) // or the reign has ended
		})
	}
	return nil
}

// laneEcho is a message: what became of a run of letters.
type laneEcho struct {
	lane   *outLane
	last   uint64
	answer LaneAnswer
	err    error
}

func (m *laneEcho) fail() {}

func (m *laneEcho) handle(c *core) error {
	lane := m.lane
	lane.runs--
	for _, crowded := range m.answer.Crowded {
		c.noteCrowd(crowded.Entity, backlog{crowded.Waiting, crowded.Bytes})
	}
	if m.err == nil && m.answer.Received > lane.acked {
		if lane.acked == lane.trimmed {
			lane.ackedAt = c.mono
		}
		lane.acked = m.answer.Received
		lane.sent = max(lane.sent, lane.acked)
		lane.wait = 0
	}
	if m.err != nil || m.answer.Received < m.last {
		lane.failed = true
	}
	if lane.failed && lane.runs == 0 {
		lane.failed = false
		lane.sent = lane.acked
		lane.wait = min(max(2*lane.wait, firstResend), lastResend)
		lane.resend = c.mono + lane.wait
	}
	return c.forward(lane)
}

// tendLanes sends again what nobody took, and deletes what was recorded.
func (c *core) tendLanes() error {
	for _, lane := range c.outLanes {
		if lane.to == c.cfg.Partition {
			continue
		}
		if err := c.forward(lane); err != nil {
			return err
		}
		through := lane.acked
		if c.cfg.Faults.trimEarly() {
			through = lane.sent
		}
		if n := through - lane.trimmed; n >= trimRows || n > 0 && c.mono-lane.ackedAt >= trimAfter {
			if err := partition.Trim(&c.view, c.cfg.Partition, lane.to, lane.trimmed, through); err != nil {
				return err
			}
			lane.trimmed = through
		}
	}
	return nil
}

// untilLanes returns how long it takes until a lane has to be tended; false where
// none has.
func (c *core) untilLanes() (wait time.Duration, any bool) {
	soonest := func(at time.Duration) {
		if d := at - c.mono; !any || d < wait {
			wait, any = d, true
		}
	}
	for _, lane := range c.outLanes {
		if lane.acked > lane.trimmed {
			soonest(lane.ackedAt + trimAfter)
		}
		if lane.runs == 0 && lane.sent < lane.committed {
			soonest(lane.resend)
		}
	}
	return wait, any
}
