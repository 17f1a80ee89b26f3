package leader

import (
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// localLetter is a letter of the partition to itself.
type localLetter struct {
	letter *partition.Letter
	number uint64
	pieces int
}

// localLane holds the partition's letters to itself that were not delivered yet.
// They are delivered before they are committed, for what comes of them is
// committed later.
type localLane struct {
	queue []localLetter
	// next is the number behind the last that was put into the queue.
	next uint64
	// taken is the number of the last one that was delivered, or of one before it.
	taken uint64
	// left is set where letters from next on are to be read from the state.
	left bool
}

// localLetters is how many letters of a partition to itself are held in memory.
const localLetters = 4096

func (q *localLane) add(l localLetter) {
	if q.left || len(q.queue) >= localLetters {
		q.left = true
		return
	}
	q.queue = append(q.queue, l)
	q.next = l.number + 1
}

// takeLocal delivers letters of the partition to itself, as long as there is room.
func (c *core) takeLocal() error {
	q := &c.local
	for (len(q.queue) > 0 || q.left) && c.roomForLocal() {
		if len(q.queue) == 0 {
			if err := c.pageLocal(); err != nil {
				return err
			}
			continue
		}
		l := q.queue[0]
		q.queue[0] = localLetter{}
		q.queue = q.queue[1:]
		q.taken = l.number
		m := &mail{}
		m.Sent, m.Pieces = l.number, l.pieces
		c.stats.Letters++
		if err := c.deliver(l.letter, m); err != nil {
			return err
		}
	}
	if len(q.queue) == 0 {
		q.queue = nil
	}
	return nil
}

func (c *core) roomForLocal() bool {
	return len(c.runnable) < c.cfg.Limits.Runnable && c.view.open.size() < c.cfg.Limits.EntryBytes
}

// pageLocal reads letters of the partition to itself from the state.
func (c *core) pageLocal() error {
	q := &c.local
	q.left = false
	var failed error
	err := partition.ReadOutbox(&c.view, c.cfg.Partition, c.cfg.Partition, q.next, func(sequence uint64, data []byte, pieces int) bool {
		letter, err := partition.DecodeLetter(data)
		if err != nil {
			failed = err
			return false
		}
		q.add(localLetter{letter, sequence, pieces})
		if len(q.queue) == page {
			q.left = true
		}
		return !q.left
	})
	if err == nil {
		err = failed
	}
	return err
}

// deliver gives a letter to its instance. m is the mail that it becomes; it knows
// already where it comes from.
func (c *core) deliver(letter *partition.Letter, m *mail) error {
	l, err := c.load(InstanceRef{letter.Hub, letter.To})
	if err != nil {
		return err
	}
	m.to = l
	m.Event = letter.Event
	m.Event.Time = c.now
	switch body := letter.Event.Body.(type) {
	case *history.ExecutionStarted:
		return c.deliverStart(l, body, m)
	case *history.ExecutionTerminated:
		if l.rec == nil || !l.rec.Is(letter.ToExecution) || l.rec.Status.Ended() {
			c.discard(m)
			return nil
		}
		return c.terminate(l, m)
	case *history.ExecutionCancelRequested:
		if l.rec == nil || !l.rec.Is(letter.ToExecution) || l.rec.Status.Ended() {
			c.discard(m)
			return nil
		}
		return c.postCancel(l, m)
	case *history.EventRaised:
		return c.deliverEvent(l, m)
	case *history.SubOrchestrationInstanceCompleted:
		return c.deliverEnd(l, letter, body.TaskID, m)
	case *history.SubOrchestrationInstanceFailed:
		return c.deliverEnd(l, letter, body.TaskID, m)
	case *history.EntityOperationCompleted:
		return c.deliverReply(l, letter, body.TaskID, m)
	case *history.EntityOperationFailed:
		return c.deliverReply(l, letter, body.TaskID, m)
	case *history.EntityLockGranted:
		return c.deliverGrant(l, letter, body.TaskID, m)
	case *history.EntityOperationSignaled, *history.EntityOperationCalled, *history.EntityLockRequested, *history.EntityUnlockSent:
		if l.entity != nil {
			return c.postEntity(l, m)
		}
	}
	return fmt.Errorf("letter to %s: %s cannot be sent", l.addr, history.Describe(letter.Event))
}

// deliverStart starts a child, or tells its parent that the ID is in use.
func (c *core) deliverStart(l *live, started *history.ExecutionStarted, m *mail) error {
	if l.rec != nil && l.rec.Is(started.ExecutionID) {
		c.discard(m) // the same start, sent again
		return nil
	}
	if l.rec != nil && !l.rec.Status.Ended() {
		if l.fresh {
			// What the parent is told rests on a start that nobody wrote yet.
			if err := c.store(l); err != nil {
				return err
			}
		}
		if refusal := partition.Refusal(l.addr, started); refusal != nil {
			if err := c.write([]partition.Letter{*refusal}); err != nil {
				return err
			}
		}
		if m.lane != nil {
			if err := c.arrived(m); err != nil {
				return err
			}
		}
		c.discard(m)
		return nil
	}
	c.create(l, started)
	return c.post(l, m)
}

// deliverEnd tells a parent how its child ended, if it still waits for it.
func (c *core) deliverEnd(l *live, letter *partition.Letter, taskID int32, m *mail) error {
	if l.rec != nil && l.rec.Execution == letter.ToExecution && !l.rec.Status.Ended() {
		child, err := partition.ReadChild(&c.view, l.addr, taskID)
		if err != nil {
			return err
		}
		if child != nil && child.Execution == letter.FromExecution {
			return c.post(l, m)
		}
	}
	c.discard(m)
	return nil
}
