package leader

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// Raise raises an external event for an instance; it returns when the event is
// committed. Errors: [ErrNotFound], [ErrFull], and those of all requests.
func (l *Leader) Raise(ctx context.Context, req RaiseRequest) error {
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return err
	}
	if err := history.ValidateEventName(req.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(req.Data) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: event of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Data), history.MaxPayloadBytes)
	}
	req.Trace = req.Trace.Clean()
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
	return c.post(l, c.mailOf(q, &history.EventRaised{Name: q.raise.Name, Input: q.raise.Data, Trace: q.raise.Trace}))
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

// deliverEvent gives an instance an event of another orchestration, which nobody can
// refuse: an instance that takes none of them ends, before it takes all the room.
func (c *core) deliverEvent(l *live, m *mail) error {
	if l.rec != nil && !l.rec.Status.Ended() && l.rec.Buffered+int64(untaken(l)) >= int64(c.cfg.Limits.Flood) {
		end := &history.ExecutionCompleted{Status: history.Failed, Failure: &history.Failure{
			Type: history.FailureFlooded, NonRetriable: true,
			Message: fmt.Sprintf("orchestration %q has %d events that it has not taken, and other orchestrations send it more", l.addr.ID, c.cfg.Limits.Flood),
		}}
		if err := c.end(l, end, nil); err != nil {
			return err
		}
	}
	return c.post(l, m) // or it finds nobody
}
