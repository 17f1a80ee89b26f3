package leader

import (
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Activities that are attempted at most once: a note in the pending row is committed
// before an attempt is given out. A leader that finds it, and no node that has the
// attempt, knows that it may have begun.

// once reports whether an activity is attempted at most once.
func once(row *partition.Activity) bool { return row.Options != nil && row.Options.AtMostOnce }

func (a *attempt) once() bool  { return once(a.row) }
func (a *attempt) noted() bool { return a.row.Noted != partition.AttemptFence{} }

// noteFirst notes that an attempt is about to begin. It is offered again when that is
// committed. False: nobody would take it now, so nothing was noted.
func (c *core) noteFirst(a *attempt) bool {
	q := c.queueOf(a.row)
	if room, err := c.cfg.Dispatcher.Room(a.row.Name, a.row.Options); err != nil || q.noting >= room {
		return false
	}
	q.noting++
	a.noting = true
	c.fence++
	a.id.Fence = Fence{Epoch: c.epoch, N: c.fence}
	partition.Note(&c.view, a.live.addr, a.id.TaskID, a.row, partition.AttemptFence(a.id.Fence))
	a.state = committing
	c.view.open.dispatch = append(c.view.open.dispatch, a)
	return true
}

// unnote takes the note back: for certain the attempt did not begin.
func (c *core) unnote(a *attempt) {
	partition.Note(&c.view, a.live.addr, a.id.TaskID, a.row, partition.AttemptFence{})
}

// refused is a message: attempts that nodes did not begin.
type refused []AttemptID

func (ids refused) fail() {}

func (ids refused) handle(c *core) error {
	for _, id := range ids {
		l := c.lives[InstanceRef{id.Hub, id.Instance}]
		if l == nil {
			continue
		}
		if a := l.attempts[id.TaskID]; a != nil && a.id == id && a.state == running {
			c.attempts--
			a.state = committing
			if a.noted() {
				c.unnote(a)
			}
			if a.row.StartBy.IsZero() { // it was taken to have begun
				c.waitAnew(a)
			}
			c.offer(a)
		}
	}
	return nil
}

func outcomeUnknown(a *attempt) *history.Failure {
	return &history.Failure{Type: history.FailureOutcomeUnknown, NonRetriable: true, Message: fmt.Sprintf(
		"attempt %d of activity %q was given to a node that is lost; it may have acted, and is made at most once", a.row.Attempt, a.row.Name)}
}

// placeless says why no node can begin an attempt of a pending activity; nil where
// one can, or nobody is to.
func (c *core) placeless(row *partition.Activity) error {
	if row.Outside != (partition.AttemptFence{}) {
		return nil
	}
	if _, err := c.cfg.Dispatcher.Room(row.Name, row.Options); errors.Is(err, ErrNoNode) {
		return err
	}
	return nil
}
