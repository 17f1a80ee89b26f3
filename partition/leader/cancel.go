package leader

import (
	"context"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// CancelRequest asks the orchestrator of an instance to end. An instance that has ended
// already stays as it is, and that is no error.
type CancelRequest struct {
	Instance InstanceRef
	Reason   string
	Identity RequestIdentity
}

// Cancel asks the orchestrator of an instance to end; it returns when the request is
// committed. It needs no place among the events of the instance. Errors: [ErrNotFound],
// and those of all requests.
func (l *Leader) Cancel(ctx context.Context, req CancelRequest) error {
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return err
	}
	if err := history.ValidateReason(req.Reason); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	_, err := l.call(ctx, &call{ref: req.Instance, identity: req.Identity, cancel: &req})
	return err
}

// doCancel gives the request to an instance. One that has not begun is ended at once:
// there is no code that could clean up.
func (q *call) doCancel(c *core, l *live) error {
	switch {
	case l.rec == nil:
		return c.conclude(q, l, StartAnswer{}, ErrNotFound)
	case l.rec.Status.Ended():
		return c.conclude(q, l, StartAnswer{}, nil)
	}
	return c.postCancel(l, c.mailOf(q, &history.ExecutionCancelRequested{Reason: q.cancel.Reason}))
}

// postCancel gives an instance a request to end, however much waits for it. Only the
// first request counts, so one is all that an instance ever has to keep.
func (c *core) postCancel(l *live, m *mail) error {
	if l.rec.Status == history.Pending && l.run == nil {
		return c.end(l, canceledByServer(l, m.Event.Body.(*history.ExecutionCancelRequested).Reason), m)
	}
	if cancelComes(l) {
		// What this request is told rests on one that is not written yet.
		if err := c.store(l); err != nil {
			return err
		}
	}
	if !l.rec.CancelRequested.IsZero() {
		c.discard(m)
		return nil
	}
	return c.post(l, m)
}

// cancelComes reports whether an instance has a request to end that is neither stored
// nor recorded.
func cancelComes(l *live) bool {
	unwritten := func(m *mail) bool {
		return m.Number == 0 && m.Event.Body.Kind() == history.KindExecutionCancelRequested
	}
	return slices.ContainsFunc(l.mail, unwritten) || l.run != nil && slices.ContainsFunc(l.run.mail, unwritten)
}

// canceledByServer is the end of an instance whose code had not begun.
func canceledByServer(l *live, reason string) *history.ExecutionCompleted {
	text := fmt.Sprintf("orchestration %q was canceled before it began", l.ref.ID)
	if reason != "" {
		text += ": " + reason
	}
	return &history.ExecutionCompleted{Status: history.Canceled, Failure: &history.Failure{Type: history.FailureCanceled, Message: text}}
}
