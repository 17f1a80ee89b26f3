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

// updates are what callers ask to be done.
type updates struct {
	named    map[string]*updateChannel
	accepted int       // so far
	buffered int       // of them those that nobody has taken
	open     []*Update // taken and not replied to
	names    []string  // what the code takes, sorted
	// refused are those of the episode that runs.
	refused []history.Unrecorded
}

// updateChannel is the updates of one name.
type updateChannel struct {
	check   Look          // nil: all are accepted
	handle  func(*Update) // nil: they wait to be received
	arrived []*Update
	waiting []*Promise
}

// updatesOf returns the channel of a name, from now on the code takes it.
func (x *Execution) updatesOf(name string) *updateChannel {
	c := x.updates.named[name]
	if c == nil {
		if x.updates.named == nil {
			x.updates.named = make(map[string]*updateChannel)
		}
		c = &updateChannel{}
		x.updates.named[name] = c
		x.updates.names = slices.Sorted(maps.Keys(x.updates.named))
	}
	return c
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
	c := h.x.updatesOf(name)
	c.handle = handle
	for _, u := range c.arrived {
		h.x.updates.buffered--
		h.x.giveUpdate(h.x.handling(c), u)
	}
	c.arrived = nil
}

// ReceiveUpdate waits for the next update of a name that has no handler. As
// [Handle.Receive], it is no decision; the callback finds it in [Promise.Update].
func (h *Handle) ReceiveUpdate(name string, settled func(*Promise)) *Promise {
	h.enter("wait for an update")
	x := h.x
	p := &Promise{of: anUpdate}
	p.settled = func(p *Promise) {
		x.updates.open = append(x.updates.open, p.Update)
		settled(p)
	}
	if x.unwinding {
		return p
	}
	c := x.updatesOf(name)
	if len(c.arrived) == 0 {
		c.waiting = append(c.waiting, p)
		return p
	}
	u := c.arrived[0]
	c.arrived = c.arrived[1:]
	x.updates.buffered--
	x.giveUpdate(p, u)
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

func (x *Execution) giveUpdate(p *Promise, u *Update) {
	p.Update = u
	x.settled = append(x.settled, p)
}

// updateRequested takes in an update that arrived, or refuses it. What is recorded was accepted.
func (x *Execution) updateRequested(b *history.UpdateRequested) {
	c := x.updates.named[b.Name]
	if !x.replaying {
		if c == nil {
			x.refuse(&history.Failure{Type: history.FailureNoHandler, Message: noHandler("update", b.Name, x.updates.names).Error()})
			return
		}
		if c.check != nil {
			if _, failure := x.look(c.check, b.Input); failure != nil {
				x.refuse(failure)
				return
			}
		}
	}
	c = x.updatesOf(b.Name)
	u := &Update{UpdateRequested: b, number: x.updates.accepted}
	x.updates.accepted++
	switch {
	case c.handle != nil:
		x.giveUpdate(x.handling(c), u)
	case len(c.waiting) > 0:
		p := c.waiting[0]
		c.waiting = c.waiting[1:]
		x.giveUpdate(p, u)
	default:
		c.arrived = append(c.arrived, u)
		x.updates.buffered++
	}
}

// refuse refuses the update that was taken last.
func (x *Execution) refuse(failure *history.Failure) {
	x.updates.refused = append(x.updates.refused, history.Unrecorded{Index: x.taken - 2, Failure: failure})
}

// handling returns the promise whose callback lets the handler run.
func (x *Execution) handling(c *updateChannel) *Promise {
	return &Promise{of: anUpdate, settled: func(p *Promise) {
		u := p.Update
		x.updates.open = append(x.updates.open, u)
		x.inHandler = true
		defer func() {
			x.inHandler = false
			if v := recover(); v != nil && !x.unwinding {
				(&Handle{x}).reply(u, nil, &history.Failure{Type: history.FailurePanic, Message: fmt.Sprint(v), Stack: PanicStack(), NonRetriable: true})
			}
		}()
		c.handle(u)
	}}
}

// giveBackUpdate ends a wait for an update. One that it got, and that the code has not
// seen, goes to the next wait, and so on, as in [Execution.giveBack].
func (x *Execution) giveBackUpdate(p *Promise) {
	if i := slices.Index(x.settled, p); i >= 0 {
		x.settled = slices.Delete(x.settled, i, i+1)
		c, u := x.updatesOf(p.Update.Name), p.Update
		for _, behind := range x.settled[i:] {
			if behind.of == anUpdate && behind.Update.Name == u.Name {
				behind.Update, u = u, behind.Update
			}
		}
		switch {
		case c.handle != nil:
			x.giveUpdate(x.handling(c), u)
		case len(c.waiting) > 0:
			next := c.waiting[0]
			c.waiting = c.waiting[1:]
			x.giveUpdate(next, u)
		default:
			c.arrived = slices.Insert(c.arrived, 0, u)
			x.updates.buffered++
		}
		return
	}
	for _, c := range x.updates.named {
		if i := slices.Index(c.waiting, p); i >= 0 {
			c.waiting = slices.Delete(c.waiting, i, i+1)
			return
		}
	}
}

// untakenUpdates returns the accepted updates that the code has not seen, in their order.
func (x *Execution) untakenUpdates() []*Update {
	var all []*Update
	for _, c := range x.updates.named {
		all = append(all, c.arrived...)
	}
	for _, p := range x.settled {
		if p.of == anUpdate {
			all = append(all, p.Update)
		}
	}
	slices.SortFunc(all, func(a, b *Update) int { return cmp.Compare(a.number, b.number) })
	return all
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
		left = append(left, x.untakenUpdates()...)
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
	for _, u := range x.untakenUpdates() {
		out = append(out, u.UpdateRequested)
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
