package leader

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Raise raises an external event for an instance; it returns when the event is
// committed. Errors: [ErrNotFound], [ErrFull], and those of all requests.
func (l *Leader) Raise(ctx context.Context, req RaiseRequest) error {
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return err
	}
	if err := partition.ValidateEventName(req.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(req.Data) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: event of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Data), history.MaxPayloadBytes)
	}
	_, err := l.call(ctx, &call{ref: req.Instance, identity: req.Identity, raise: &req})
	return err
}

// doRaise gives an event to an instance. It is never dropped to make room: one too
// many is refused, and may be raised again later with the same identity.
func (q *call) doRaise(c *core, l *live) error {
	switch {
	case l.rec == nil:
		return c.conclude(q, l, StartAnswer{}, ErrNotFound)
	case l.rec.Status.Ended():
		return c.conclude(q, l, StartAnswer{}, nil)
	case l.rec.Buffered+int64(untaken(l)) >= int64(c.cfg.Limits.Events):
		q.done <- outcome{err: fmt.Errorf("%w: %d events", ErrFull, l.rec.Buffered+int64(untaken(l)))}
		return nil
	}
	m := &mail{call: q}
	m.Event = history.Event{ID: history.NoID, Time: c.now, Body: &history.EventRaised{Name: q.raise.Name, Input: q.raise.Data}}
	return c.post(l, m)
}

// untaken returns how much mail of an instance no turn has taken.
func untaken(l *live) int {
	n := len(l.mail)
	if !l.loaded {
		n += int(l.rec.Stored)
	}
	if l.run != nil {
		n += len(l.run.mail)
	}
	return n
}
