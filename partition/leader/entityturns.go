package leader

import (
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// askEntity asks for a run of the operations that come first.
func (c *core) askEntity(l *live) error {
	state, err := partition.ReadState(&c.view, l.addr, l.rec)
	if err != nil {
		return err
	}
	r := &run{mail: l.entity.portion(l.rec, l.few(min(operationsOfRun, l.entity.waiting)))}
	name, _ := l.ref.ID.Entity()
	r.request.Key, r.request.Name = c.key(l), l.rec.Name
	r.entity = &EntityRequest{Key: r.request.Key, Name: name, State: state, Now: c.now, NextID: l.rec.LastID + 1, Crowded: c.crowdedOf(l.ref.Hub)}
	for _, m := range r.mail {
		r.entity.Operations = append(r.entity.Operations, m.Event)
	}
	c.traceOperations(r.entity.Operations)
	c.launch(l, r)
	return nil
}

// operate runs operations. It is called by workers.
func (c *core) operate(r *run) {
	if c.cfg.Entities == nil {
		r.err = ErrUnbound
		return
	}
	r.batch, r.err = c.cfg.Entities.Operations(c.ctx, *r.entity)
}

// operated takes a run of operations back.
func (c *core) operated(l *live, r *run) error {
	if r.err == nil {
		r.err = partition.ValidateBatch(l.rec, len(r.mail), r.batch)
	}
	if r.err == nil {
		switch text := tooMuchOfBatch(l.addr, l.rec, r.batch); {
		case text != "" && len(r.batch.Results) > 1:
			l.entity.putBack(l.rec, r.mail)
			c.byHalves(l, len(r.batch.Results))
			return nil
		case text != "": // one that cannot be recorded has not happened
			c.log.Warn("an operation fails, because it is too large to be recorded", "entity", l.addr.String(), "error", text)
			r.batch = history.Batch{State: r.entity.State, Results: []history.OperationResult{{
				Failure: &history.Failure{Type: history.FailureTooLarge, NonRetriable: true, Message: text},
			}}}
		}
	}
	if r.err == nil {
		r.err = c.room(l, r.batch.Decided)
	}
	if r.err != nil {
		l.entity.putBack(l.rec, r.mail)
		return c.notRun(l, r)
	}
	c.bound(l)
	n := len(r.batch.Results)
	l.entity.putBack(l.rec, r.mail[n:])
	taken := r.mail[:n]
	lost, life := c.toLose(taken), l.rec.Execution
	before := c.view.open.size()
	fx, gone, err := partition.ApplyEntity(&c.view, l.addr, l.rec, partition.EntityTurn{
		Began: r.began, Mail: rows(taken), Batch: r.batch, Before: r.entity.State,
	})
	if err != nil {
		return err
	}
	c.countTurn()
	c.operationSpans(l, life, r)
	if err := c.done(l, taken...); err != nil {
		return err
	}
	if len(lost) > 0 {
		fx.Sent = slices.DeleteFunc(fx.Sent, func(l partition.Letter) bool {
			b, ok := l.Event.Body.(*history.EntityOperationCompleted)
			return ok && lost[holder{l.To, l.ToExecution, b.TaskID}]
		})
	}
	if err := c.write(fx.Sent); err != nil {
		return err
	}
	c.view.open.weighed(l.ref, c.view.open.size()-before)
	c.ifGone(l, gone)
	c.freed(l)
	if l.rec != nil && l.entity.ready(l.rec) {
		c.enqueue(l)
	}
	return nil
}

// toLose returns the calls whose results are lost; there are some only where that bug is
// planted.
func (c *core) toLose(taken []*mail) (calls map[holder]bool) {
	if !c.cfg.Faults.replyLost() {
		return nil
	}
	calls = make(map[holder]bool)
	for _, m := range taken {
		if call, ok := m.Event.Body.(*history.EntityOperationCalled); ok && call.Caller != nil && m.Number != 0 {
			calls[holderOf(call.Caller)] = true
		}
	}
	return calls
}

// tooMuchOfBatch says what of a run of operations is too much for an entry of the
// log; empty where it can be recorded.
func tooMuchOfBatch(a partition.Address, r *partition.Record, b history.Batch) string {
	if len(b.State) > history.MaxPayloadBytes {
		return fmt.Sprintf("the entity has a state of %d bytes; at most %d are allowed", len(b.State), history.MaxPayloadBytes)
	}
	results := 0
	for _, result := range b.Results {
		results += len(result.Result) + result.Failure.Bytes()
		if len(result.Result) > history.MaxPayloadBytes {
			return fmt.Sprintf("an operation returned %d bytes; at most %d are allowed", len(result.Result), history.MaxPayloadBytes)
		}
	}
	if results > inlineBytes+history.MaxPayloadBytes {
		return fmt.Sprintf("the operations of one run returned %d bytes; at most %d are allowed", results, inlineBytes+history.MaxPayloadBytes)
	}
	return tooMuch(a, r, history.Episode{Decided: b.Decided})
}
