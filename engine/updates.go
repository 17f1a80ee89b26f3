package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// Update is an update that the code has accepted and replies to once.
type Update struct {
	*history.UpdateRequested
	number  int // the how-manieth to be accepted
	replied bool
}

func (u *Update) order() int             { return u.number }
func (u *Update) input() history.Payload { return u.Input }

// updates are what callers ask to be done.
type updates struct {
	mail  mailbox
	open  []*Update // taken and not replied to
	names []string  // what the code takes, sorted
	// refused are those of the episode that runs.
	refused []history.Unrecorded
}

// updatesOf returns the queue of a name, from now on the code takes it.
func (x *Execution) updatesOf(name string) *queue {
	q := x.updates.mail.queue(name)
	if len(x.updates.names) < len(x.updates.mail.queues) {
		x.updates.names = slices.Sorted(maps.Keys(x.updates.mail.queues))
	}
	return q
}

// CheckUpdates sets what decides whether an update of a name is accepted: check looks,
// and refuses by a failure; then nothing of the update is recorded. Before a name is
// known by this, by [Handle.HandleUpdates] or by [Handle.ReceiveUpdate], its updates are
// refused.
func (h *Handle) CheckUpdates(name string, check Look) {
	if h.enter("check updates"); !h.x.unwinding {
		h.x.updatesOf(name).check = check
	}
}

// HandleUpdates lets handle run for each update of a name that nobody has taken, those
// that wait first: on the orchestrator's goroutine, in a later wait. It may decide and
// not wait. Where it panics, the update fails with that, unless it was replied to.
func (h *Handle) HandleUpdates(name string, handle func(*Update)) {
	if h.enter("handle updates"); h.x.unwinding {
		return
	}
	q := h.x.updatesOf(name)
	q.handle = handle
	for len(q.arrived) > 0 {
		h.x.receive(q, h.x.handling(q))
	}
}

// ReceiveUpdate waits for the next update of a name that has no handler. As
// [Handle.Receive], it is no decision; the callback gets it by [Promise.Update].
func (h *Handle) ReceiveUpdate(name string, settled func(*Promise)) *Promise {
	h.enter("wait for an update")
	x := h.x
	p := &Promise{of: anUpdate}
	p.settled = func(p *Promise) {
		x.updates.open = append(x.updates.open, p.Update())
		settled(p)
	}
	if !x.unwinding {
		x.receive(x.updatesOf(name), p)
	}
	return p
}

// Reply decides what the caller of an update is answered, once.
func (h *Handle) Reply(u *Update, result history.Payload, failure *history.Failure) {
	if h.enter("reply to an update"); !h.x.unwinding {
		h.reply(u, result, failure)
	}
}

func (h *Handle) reply(u *Update, result history.Payload, failure *history.Failure) {
	if u.replied {
		return
	}
	u.replied = true
	h.x.updates.open = slices.DeleteFunc(h.x.updates.open, func(other *Update) bool { return other == u })
	h.decide(&history.UpdateCompleted{Request: u.Request, Sent: u.Sent, Name: u.Name, Result: result, Failure: failure})
}

// updateRequested takes in an update that arrived, or refuses it. What is recorded was accepted.
func (x *Execution) updateRequested(b *history.UpdateRequested) {
	if !x.replaying {
		q := x.updates.mail.queues[b.Name]
		if q == nil {
			x.refuse(&history.Failure{Type: history.FailureNoHandler, Message: noHandler("update", b.Name, x.updates.names).Error()})
			return
		}
		if q.check != nil {
			if _, failure := x.look(q.check, b.Input); failure != nil {
				x.refuse(failure)
				return
			}
		}
	}
	u := &Update{UpdateRequested: b, number: x.updates.mail.arrivals}
	x.updates.mail.arrivals++
	x.deliver(x.updatesOf(b.Name), u)
}

// refuse refuses the update that was taken last.
func (x *Execution) refuse(failure *history.Failure) {
	x.updates.refused = append(x.updates.refused, history.Unrecorded{Index: x.taken - 2, Failure: failure})
}

// handling returns the promise whose callback lets the handler run.
func (x *Execution) handling(q *queue) *Promise {
	return &Promise{of: anUpdate, queue: q, settled: func(p *Promise) {
		u := p.Update()
		x.updates.open = append(x.updates.open, u)
		x.inHandler = true
		defer func() {
			x.inHandler = false
			if v := recover(); v != nil && !x.unwinding {
				failure := panicFailure(v)
				failure.NonRetriable = true
				(&Handle{x}).reply(u, nil, failure)
			}
		}()
		q.handle(u)
	}}
}

// finish decides the end of the execution by its own code. Updates that it has taken
// and not replied to fail; so do those that it has not taken, unless another execution
// follows, which gets them.
func (x *Execution) finish(end *history.ExecutionCompleted) {
	if s := x.seen(); s != nil {
		end = failed(s.failure())
	}
	left := x.updates.open
	if end.Status != history.ContinuedAsNew {
		for _, a := range x.untaken(&x.updates.mail) {
			left = append(left, a.(*Update))
		}
	}
	slices.SortFunc(left, func(a, b *Update) int { return cmp.Compare(a.number, b.number) })
	for _, u := range left {
		if u.replied {
			continue
		}
		u.replied = true
		_, ok := x.decide(&history.UpdateCompleted{Request: u.Request, Sent: u.Sent, Name: u.Name, Failure: &history.Failure{
			Type: history.FailureEnded, Message: fmt.Sprintf("the orchestration ended before it replied to update %q", u.Name), NonRetriable: true,
		}})
		if !ok {
			return
		}
	}
	x.updates.open = nil
	x.complete(end)
}

// carriedUpdates returns the updates that the next execution gets.
func (x *Execution) carriedUpdates() []*history.UpdateRequested {
	var out []*history.UpdateRequested
	for _, a := range x.untaken(&x.updates.mail) {
		out = append(out, a.(*Update).UpdateRequested)
	}
	return out
}

// unrecorded returns the updates of the episode that are not to be recorded: those that
// were refused, and those that arrived behind the end.
func (x *Execution) unrecorded(arrived []history.Event) []history.Unrecorded {
	out := x.updates.refused
	x.updates.refused = nil
	for i, e := range arrived[x.taken:] {
		if _, ok := e.Body.(*history.UpdateRequested); ok {
			out = append(out, history.Unrecorded{Index: x.taken + i - 1})
		}
	}
	return out
}
