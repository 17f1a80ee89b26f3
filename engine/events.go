package engine

import (
	"cmp"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// events holds the external events that no wait has taken, and the waits for which
// no event has come. Of one name there are only ever the one or the other.
type events struct {
	named    map[string]*channel // by history.EventName
	arrivals int                 // events that have arrived
	buffered int                 // of them those that no wait has taken
	waits    []string            // what awaits returned last
	changed  bool                // and whether that is not true any more
}

// channel is the events and waits of one name.
type channel struct {
	name    string // as the newest wait wrote it
	arrived []arrivedEvent
	waiting []*Promise
}

// arrivedEvent is an event and the how-manieth it is to have arrived.
type arrivedEvent struct {
	number int
	*history.EventRaised
}

func (v *events) of(name string) *channel {
	key := history.EventName(name)
	c := v.named[key]
	if c == nil {
		if v.named == nil {
			v.named = make(map[string]*channel)
		}
		c = &channel{name: name}
		v.named[key] = c
	}
	return c
}

// awaits returns the names that are waited for, sorted.
func (v *events) awaits() []string {
	if v.changed {
		v.changed = false
		v.waits = nil
		for _, c := range v.named {
			if len(c.waiting) > 0 {
				v.waits = append(v.waits, c.name)
			}
		}
		slices.Sort(v.waits)
	}
	return v.waits
}

// raise takes in an event: the wait that is there longest gets it, or it is kept
// for the next one.
func (x *Execution) raise(b *history.EventRaised) {
	c := x.events.of(b.Name)
	e := arrivedEvent{x.events.arrivals, b}
	x.events.arrivals++
	if len(c.waiting) == 0 {
		c.arrived = append(c.arrived, e)
		x.events.buffered++
		return
	}
	p := c.waiting[0]
	c.waiting = c.waiting[1:]
	x.events.changed = true
	x.give(p, e)
}

func (x *Execution) give(p *Promise, e arrivedEvent) {
	p.event, p.Result = e, e.Input
	x.settled = append(x.settled, p)
}

// receive gives a wait the oldest event of its name, or lets it wait.
func (x *Execution) receive(name string, p *Promise) {
	c := x.events.of(name)
	if len(c.arrived) > 0 {
		e := c.arrived[0]
		c.arrived = c.arrived[1:]
		x.events.buffered--
		x.give(p, e)
		return
	}
	c.name = name
	c.waiting = append(c.waiting, p)
	x.events.changed = true
}

// untaken returns the events that nobody has seen, in the order in which they
// arrived, where the code ended during an episode.
func (x *Execution) untaken(arrived []history.Event) []*history.EventRaised {
	var all []arrivedEvent
	for _, c := range x.events.named {
		all = append(all, c.arrived...)
	}
	for _, p := range x.settled {
		if p.of == anEvent {
			all = append(all, p.event)
		}
	}
	slices.SortFunc(all, func(a, b arrivedEvent) int { return cmp.Compare(a.number, b.number) })
	out := make([]*history.EventRaised, 0, len(all))
	for _, e := range all {
		out = append(out, e.EventRaised)
	}
	for _, e := range arrived[x.taken:] {
		if b, ok := e.Body.(*history.EventRaised); ok {
			out = append(out, b)
		}
	}
	return out
}

// giveBack ends a wait. An event that it got, and that the code has not seen, goes
// to the next wait, whose own goes to the one behind it, and so on: the last one goes
// back to the front of those that wait for nobody.
func (x *Execution) giveBack(p *Promise) {
	if i := slices.Index(x.settled, p); i >= 0 {
		x.settled = slices.Delete(x.settled, i, i+1)
		c, e := x.events.of(p.event.Name), p.event
		for _, behind := range x.settled[i:] {
			if behind.of == anEvent && x.events.of(behind.event.Name) == c {
				behind.event, e = e, behind.event
				behind.Result = behind.event.Input
			}
		}
		if len(c.waiting) > 0 {
			next := c.waiting[0]
			c.waiting = c.waiting[1:]
			x.events.changed = true
			x.give(next, e)
			return
		}
		c.arrived = slices.Insert(c.arrived, 0, e)
		x.events.buffered++
		return
	}
	for _, c := range x.events.named {
		if i := slices.Index(c.waiting, p); i >= 0 {
			c.waiting = slices.Delete(c.waiting, i, i+1)
			x.events.changed = true
			return
		}
	}
}
