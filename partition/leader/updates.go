package leader

import (
	"context"
	"fmt"
	"sync"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// UpdateRequest asks the code of an orchestration to do something and to reply. It must
// have an identity.
type UpdateRequest struct {
	Instance InstanceRef
	Name     string
	Input    history.Payload
	Identity RequestIdentity
}

// UpdateReply is what the code replied. A failure of type [history.FailureNoHandler]
// says that it does not handle the name, one of type [history.FailureEnded] that it
// ended before it replied; where that is also Refused, it ended without taking the
// update.
type UpdateReply struct {
	Result  history.Payload
	Failure *history.Failure
	// Refused is set where nothing was done, and nothing recorded.
	Refused bool
}

// Update asks for an update and waits for the reply, which is remembered like an answer:
// a repetition waits for the same one. Errors: [ErrNotFound], [ErrFull], and those of
// all requests. Where ctx is done first, the update goes on.
func (l *Leader) Update(ctx context.Context, req UpdateRequest) (UpdateReply, error) {
	if err := validateAsked(req.Instance, req.Name, req.Input); err != nil {
		return UpdateReply{}, err
	}
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return UpdateReply{}, err
	}
	if err := validateText(req.Identity.ID); err != nil || req.Identity.ID == "" {
		return UpdateReply{}, fmt.Errorf("%w: an update without a request ID, or with the odd one %q", ErrInvalid, req.Identity.ID)
	}
	c := l.core
	w := &replyWaiter{ref: req.Instance, request: req.Identity.ID, name: req.Name, told: make(chan UpdateReply, 1)}
	if err := c.replies.add(w); err != nil {
		return UpdateReply{}, err
	}
	defer c.replies.remove(w)
	o, err := l.await(ctx, &call{ref: req.Instance, identity: req.Identity, update: &req, waiter: w})
	if err != nil {
		return UpdateReply{}, err
	}
	if o.reply != nil {
		return *o.reply, nil
	}
	select {
	case reply := <-w.told:
		return reply, nil
	case <-ctx.Done():
		return UpdateReply{}, ctx.Err()
	case <-c.ended:
	}
	select {
	case reply := <-w.told:
		return reply, nil
	default:
		return UpdateReply{}, ErrNotLeading
	}
}

// known answers an update that was asked for before. It returns false for a new one.
func (q *call) known(c *core, l *live) (bool, error) {
	if l.rec != nil {
		c.replies.meant(q.waiter, l.rec)
	}
	u, err := partition.ReadUpdate(&c.view, l.addr, q.identity.ID, q.identity.Sent)
	if err != nil {
		return false, err
	}
	switch {
	case c.cfg.Faults.noDedup():
		return false, nil
	case u == nil:
		return false, nil
	case u.Done:
		c.answerUpdate(q, &UpdateReply{Result: u.Result, Failure: u.Failure, Refused: u.Refused})
	case l.rec == nil || !l.rec.Is(u.Instance) || l.rec.Status.Ended():
		c.answerUpdate(q, endedReply(q.update.Name))
	default:
		c.answerUpdate(q, nil)
	}
	return true, nil
}

// endedReply is the reply to an update of an orchestration that ended without one.
func endedReply(name string) *UpdateReply {
	return &UpdateReply{Failure: &history.Failure{
		Type: history.FailureEnded, Message: fmt.Sprintf("the orchestration ended before it replied to update %q", name), NonRetriable: true,
	}}
}

// lateReply is the reply to an update that the orchestration ended without taking: it came
// later, or was not a part of an episode yet.
func lateReply(name string) *UpdateReply {
	return &UpdateReply{Refused: true, Failure: &history.Failure{
		Type: history.FailureEnded, Message: fmt.Sprintf("the orchestration has ended without taking update %q, which had no effect", name), NonRetriable: true,
	}}
}

// answerUpdate answers as [core.answer] does; nil: the reply will be told.
func (c *core) answerUpdate(q *call, r *UpdateReply) {
	e := c.view.open
	e.needed = true
	e.answers = append(e.answers, updateAnswer{q, r})
}

// updateAnswer answers a caller who waits for the loop.
type updateAnswer struct {
	to    *call
	reply *UpdateReply
}

// doUpdate gives an update to an instance. Whether it is accepted, its code decides.
func (q *call) doUpdate(c *core, l *live) error {
	switch {
	case l.rec == nil:
		return c.conclude(q, l, StartAnswer{}, ErrNotFound)
	case l.rec.Status.Ended():
		c.concludeUpdate(q, l.addr, l.rec)
		return nil
	case l.rec.Buffered+int64(untaken(l)) >= int64(c.cfg.Limits.Events):
		q.done <- outcome{err: fmt.Errorf("%w: %d events and updates", ErrFull, l.rec.Buffered+int64(untaken(l)))}
		return nil
	}
	return c.post(l, c.mailOf(q, &history.UpdateRequested{
		Request: q.identity.ID, Sent: q.identity.Sent, Name: q.update.Name, Input: q.update.Input,
	}))
}

// concludeUpdate answers an update that comes to an instance which has ended.
func (c *core) concludeUpdate(q *call, addr partition.Address, rec *partition.Record) {
	delete(c.arriving, q.key())
	reply := lateReply(q.update.Name)
	var instance history.ExecutionID
	if rec != nil {
		instance = rec.Execution
	}
	partition.Reply(&c.view, addr, instance, &history.UpdateCompleted{
		Request: q.identity.ID, Sent: q.identity.Sent, Name: q.update.Name, Failure: reply.Failure,
	}, true)
	c.answerUpdate(q, reply)
}

// accepted notes that the entry under construction writes an update.
func (c *core) accepted(q *call) {
	delete(c.arriving, q.key())
	c.answerUpdate(q, nil)
}

// refuseUpdates takes those updates out of a run's mail that its episode does not
// record: what the code refused is answered, and what came behind its end waits for the
// next execution. It returns true where nothing is left to record.
func (c *core) refuseUpdates(l *live, r *run) (nothing bool, err error) {
	if len(r.episode.Unrecorded) == 0 {
		return false, nil
	}
	nothing = r.episode.Empty(r.request.Arrived)
	brieflyRefused(r.episode.Unrecorded)
	var taken, later []*mail
	next := 0
	for i, m := range r.mail {
		if next == len(r.episode.Unrecorded) || r.episode.Unrecorded[next].Index != i {
			taken = append(taken, m)
			continue
		}
		failure := r.episode.Unrecorded[next].Failure
		next++
		if failure == nil {
			later = append(later, m)
			continue
		}
		reply, err := partition.Refuse(&c.view, l.addr, l.rec, &m.Mail, failure)
		if err != nil {
			return false, err
		}
		c.tellReply(l, reply, true)
		if m.call != nil {
			c.accepted(m.call)
			m.call = nil
		}
	}
	r.mail = taken
	l.mail = append(later, l.mail...)
	if nothing {
		c.countTurn()
		l.waiting, l.heldBytes = false, 0
		partition.Took(&c.view, l.addr, l.rec)
	}
	return nothing, nil
}

// refusalBytes bounds what the refusals of one episode take in its entry, but for the code
// and the beginning of the text of each.
const refusalBytes = 8 << 20

// brieflyRefused leaves out of refusals what would be too much for one entry: thousands of
// updates may have waited for code that panics at each.
func brieflyRefused(all []history.Unrecorded) {
	room := refusalBytes
	for i, u := range all {
		f := u.Failure
		if room -= f.Bytes(); f == nil || room >= 0 {
			continue
		}
		all[i].Failure = &history.Failure{Type: history.BriefReason(f.Type), Message: history.BriefReason(f.Message), NonRetriable: f.NonRetriable}
		if len(f.Code) <= history.MaxNameBytes {
			all[i].Failure.Code = f.Code
		}
	}
}

// validUnrecorded reports whether what an episode does not record are updates that it
// was given, in their order, and left over only where it ended.
func validUnrecorded(r *run) bool {
	last := -1
	for _, u := range r.episode.Unrecorded {
		if u.Index <= last || u.Index >= len(r.mail) || u.Failure == nil && r.episode.Completion() == nil {
			return false
		}
		if _, ok := r.mail[u.Index].Event.Body.(*history.UpdateRequested); !ok {
			return false
		}
		last = u.Index
	}
	return true
}

// tellReply tells those who wait for a reply when the entry under construction is applied.
func (c *core) tellReply(l *live, u *history.UpdateCompleted, refused bool) {
	e := c.view.open
	e.needed = true
	e.told = append(e.told, toldReply{l.ref, u.Request, UpdateReply{Result: u.Result, Failure: u.Failure, Refused: refused}})
}

type toldReply struct {
	ref     InstanceRef
	request string
	reply   UpdateReply
}

// replies are the callers that wait for replies to updates. It is safe for concurrent
// use.
type replies struct {
	mu    sync.Mutex // protects the fields below
	by    map[InstanceRef][]*replyWaiter
	count int
	limit int
}

type replyWaiter struct {
	ref     InstanceRef
	request string
	name    string
	// instance is the execution with which the instance was started that is asked; empty
	// until the loop has seen the request.
	instance history.ExecutionID
	told     chan UpdateReply // capacity 1
}

// add lets w wait. Whoever adds asks the loop afterwards: what is replied later is told.
func (rs *replies) add(w *replyWaiter) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.count >= rs.limit {
		return ErrOverloaded
	}
	rs.count++
	rs.by[w.ref] = append(rs.by[w.ref], w)
	return nil
}

// remove takes w out.
func (rs *replies) remove(w *replyWaiter) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.keep(w.ref, func(other *replyWaiter) bool { return other != w })
}

// keep drops the waiters of an instance that are not to be kept. Call with mu held.
func (rs *replies) keep(ref InstanceRef, kept func(*replyWaiter) bool) {
	all := rs.by[ref]
	left := all[:0]
	for _, w := range all {
		if kept(w) {
			left = append(left, w)
		}
	}
	clear(all[len(left):])
	rs.count -= len(all) - len(left)
	if len(left) == 0 {
		delete(rs.by, ref)
	} else {
		rs.by[ref] = left
	}
}

// tell tells those who wait for a reply.
func (rs *replies) tell(t toldReply) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.keep(t.ref, func(w *replyWaiter) bool {
		if w.request != t.request {
			return true
		}
		w.told <- t.reply
		return false
	})
}

// meant notes which instance a waiter asks.
func (rs *replies) meant(w *replyWaiter, r *partition.Record) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	w.instance = r.StartedAs()
}

// end tells all who wait for an instance that it has ended.
func (rs *replies) end(ref InstanceRef, instance history.ExecutionID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	rs.keep(ref, func(w *replyWaiter) bool {
		if w.instance != instance {
			return true // it asks the one that came after
		}
		w.told <- *endedReply(w.name)
		return false
	})
}
