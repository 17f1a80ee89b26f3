package leader

import (
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// heartbeats is a message: attempts that live, as one node tells.
type heartbeats struct {
	all  []Heartbeat
	done func(unwanted []AttemptID, err error)
}

// Heartbeats hands over what attempts that run on a node tell. It does not block.
// done is called once, from any goroutine: with those attempts that are not wanted
// any more, when the progress of the others is committed; or with an error, then the
// node sends it again, to whoever leads then.
func (l *Leader) Heartbeats(all []Heartbeat, done func(unwanted []AttemptID, err error)) {
	if err := l.core.mailbox.push(&heartbeats{all, done}, results); err != nil {
		done(nil, err)
	}
}

func (h *heartbeats) fail() { h.done(nil, ErrNotLeading) }

func (h *heartbeats) handle(c *core) error {
	var gone []AttemptID // that are not wanted any more
	wrote := false
	for _, beat := range h.all {
		id := beat.Attempt
		var a *attempt
		if l := c.lives[InstanceRef{id.Hub, id.Instance}]; l != nil {
			a = l.attempts[id.TaskID]
		}
		switch {
		case id.Fence.Epoch > c.epoch, id.Fence.Epoch < c.epoch && !c.surveyed:
			// Somebody newer knows, or it may be adopted yet: it is heard of again.
		case a == nil || a.id != id || a.state != running:
			gone = append(gone, id)
		case beat.Progress != nil && len(beat.Progress) <= history.MaxProgressBytes:
			c.heard(a, beat.Progress)
			wrote = true
		}
	}
	if len(gone) == 0 && !wrote {
		h.done(nil, nil)
		return nil
	}
	e := c.view.open
	e.needed = true
	e.recorded = append(e.recorded, record{func(err error) {
		if err != nil {
			gone = nil
		}
		h.done(gone, err)
	}, nil})
	return nil
}

// heard records that an attempt lives.
func (c *core) heard(a *attempt, progress history.Payload) {
	for _, timer := range partition.Heard(&c.view, a.live.addr, a.id.TaskID, a.row, progress, c.now) {
		c.timers.add(timer)
	}
}

// saveProgress records what an attempt that has ended told last.
func (c *core) saveProgress(a *attempt, progress history.Payload) {
	if progress != nil && len(progress) <= history.MaxProgressBytes {
		c.heard(a, progress)
	}
}
