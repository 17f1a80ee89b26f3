package engine

import (
	"time"

	"github.com/reprise-run/reprise/history"
)

// arrivedEvent is an external event, when it arrived, and the how-manieth it was.
type arrivedEvent struct {
	*history.EventRaised
	at     time.Time
	number int
}

func (e arrivedEvent) order() int             { return e.number }
func (e arrivedEvent) input() history.Payload { return e.Input }

// SendEvent decides that an event goes to another instance.
func (h *Handle) SendEvent(event *history.EventSent) {
	if h.enter("send an event"); !h.x.unwinding {
		h.decide(event)
	}
}

// Receive waits for the next external event of a name. It is no decision: which
// wait gets which event follows from the order of both. The callback runs as in
// [Handle.Schedule], also if the event has arrived before.
func (h *Handle) Receive(name string, settled func(*Promise)) *Promise {
	h.enter("wait for an event")
	p := &Promise{of: anEvent, settled: settled}
	if !h.x.unwinding {
		q := h.x.events.queue(history.EventName(name))
		q.name = name
		h.x.receive(q, p)
	}
	return p
}

// raise takes in an event that arrived.
func (x *Execution) raise(b *history.EventRaised, at time.Time) {
	e := arrivedEvent{b, at, x.events.arrivals}
	x.events.arrivals++
	x.deliver(x.events.queue(history.EventName(b.Name)), e)
}

// takeEvent notes the event that a promise got and the code is about to see.
func (x *Execution) takeEvent(p *Promise) {
	if e := p.got.(arrivedEvent); e.Trace.Parent != "" {
		x.takenEvents = append(x.takenEvents, history.TakenEvent{Number: e.number, Name: e.Name, Arrived: e.at, Trace: e.Trace})
	}
}

// carriedEvents returns the events that the next execution gets: those that nobody has
// seen, where the code ended during an episode.
func (x *Execution) carriedEvents(arrived []history.Event) []*history.EventRaised {
	out := []*history.EventRaised{}
	for _, a := range x.untaken(&x.events) {
		out = append(out, a.(arrivedEvent).EventRaised)
	}
	for _, e := range arrived[x.taken:] {
		if b, ok := e.Body.(*history.EventRaised); ok {
			out = append(out, b)
		}
	}
	return out
}
