package reprise

import (
	"errors"

	"github.com/reprise-run/reprise/history"
)

// Sender is who signals entities, sends events and starts detached orchestrations: an
// *[Orchestration], or the *[EntityContext] of an operation. What it sends leaves once
// its decision is committed, exactly once; what an operation sends that fails does not
// leave.
type Sender interface {
	payloads() Codec
	signal(*history.EntityOperationSignaled) error
	sendEvent(*history.EventSent) error
	// startDetached also sets the instance ID, where none is chosen.
	startDetached(*history.SubOrchestrationInstanceCreated) error
}

var (
	_ Sender = (*Orchestration)(nil)
	_ Sender = (*EntityContext)(nil)
)

func (o *Orchestration) payloads() Codec { return o.codec }

func (o *Orchestration) signal(s *history.EntityOperationSignaled) error {
	if err := errors.Join(o.Canceled(), o.section.signals(s.Target)); err != nil {
		return err
	}
	o.h.SignalEntity(s)
	return nil
}

func (o *Orchestration) sendEvent(e *history.EventSent) error {
	if err := o.Canceled(); err != nil {
		return err
	}
	o.h.SendEvent(e)
	return nil
}

func (o *Orchestration) startDetached(child *history.SubOrchestrationInstanceCreated) error {
	if err := o.Canceled(); err != nil {
		return err
	}
	o.h.StartDetached(child)
	return nil
}
