package leader

import (
	"context"
	"fmt"

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
// committed. Errors: [ErrNotFound], [ErrFull], and those of all requests.
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
	case untaken(l) >= c.cfg.Limits.Events:
		q.done <- outcome{err: fmt.Errorf("%w: %d events", ErrFull, untaken(l))}
		return nil
	}
	return c.postCancel(l, c.mailOf(q, &history.ExecutionCancelRequested{Reason: q.cancel.Reason}))
}

func (c *core) postCancel(l *live, m *mail) error {
	if l.rec.Status == history.Pending && l.run == nil {
		return c.end(l, canceledByServer(l, m.Event.Body.(*history.ExecutionCancelRequested).Reason), m)
	}
	return c.post(l, m)
}

// canceledByServer is the end of an instance whose code had not begun.
func canceledByServer(l *live, reason string) *history.ExecutionCompleted {
	text := fmt.Sprintf("orchestration %q was canceled before it began", l.ref.ID)
	if reason != "" {
		text += ": " + reason
	}
	return &history.ExecutionCompleted{Status: history.Canceled, Failure: &history.Failure{Type: history.FailureCanceled, Message: text}}
}
