package engine

import (
	"cmp"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// mailbox holds what arrives by name and waits to be received: the external events, or
// the updates.
type mailbox struct {
	queues   map[string]*queue
	arrivals int // so far
	buffered int // of them those that nobody has taken
	// asked are the queues that are waited for: of names for which something has come
	// there may be many.
	asked   map[*queue]struct{}
	waits   []string // what awaits returned last
	changed bool     // and whether that is not true any more
}

// queue is what has arrived of one name, and the waits for which nothing has come:
// there are only ever the one or the other.
type queue struct {
	box     *mailbox
	key     string
	name    string // as the newest wait wrote it
	arrived []arrival
	waiting []*Promise
	given   int // how many were given to waits whose callbacks have not run yet
	// check and handle are those of updates. nil: all are accepted, and wait to be
	// received.
	check  Look
	handle func(*Update)
}

// arrival is an event or an update that has arrived.
type arrival interface {
	order() int // the how-manieth it is in its mailbox
	input() history.Payload
}

// queue returns the queue with the key, which is made if there is none.
func (m *mailbox) queue(key string) *queue {
	q := m.queues[key]
	if q == nil {
		if m.queues == nil {
			m.queues = make(map[string]*queue)
		}
		q = &queue{box: m, key: key}
		m.queues[key] = q
	}
	return q
}

// awaits returns the names that are waited for, sorted.
func (m *mailbox) awaits() []string {
	if m.changed {
		m.changed = false
		m.waits = nil
		for q := range m.asked {
			m.waits = append(m.waits, q.name)
		}
		slices.Sort(m.waits)
	}
	return m.waits
}

// setWaiting says who waits.
func (q *queue) setWaiting(all []*Promise) {
	q.waiting = all
	q.box.changed = true
	if len(all) == 0 {
		delete(q.box.asked, q)
		return
	}
	if q.box.asked == nil {
		q.box.asked = make(map[*queue]struct{})
	}
	q.box.asked[q] = struct{}{}
}

// deliver gives what arrived to the wait that is there longest, or keeps it for the
// next one.
func (x *Execution) deliver(q *queue, a arrival) {
	if !x.pass(q, a) {
		q.arrived = append(q.arrived, a)
		q.box.buffered++
	}
}

// pass gives what arrived to the handler of the name, or to the wait that is there
// longest; false: there is neither.
func (x *Execution) pass(q *queue, a arrival) bool {
	switch {
	case q.handle != nil:
		x.give(x.handling(q), a)
	case len(q.waiting) > 0:
		p := q.waiting[0]
		q.setWaiting(q.waiting[1:])
		x.give(p, a)
	default:
		return false
	}
	return true
}

func (x *Execution) give(p *Promise, a arrival) {
	p.got, p.Result = a, a.input()
	p.queue.given++
	x.settled = append(x.settled, p)
}

// forget drops a queue that holds nothing: code may use each name once. The queues of
// updates stay, which are what the code takes.
func (x *Execution) forget(q *queue) {
	if q.box == &x.events && len(q.arrived) == 0 && len(q.waiting) == 0 && q.given == 0 {
		delete(q.box.queues, q.key)
	}
}

// receive gives a wait the oldest of its name, or lets it wait.
func (x *Execution) receive(q *queue, p *Promise) {
	p.queue = q
	if len(q.arrived) == 0 {
		q.setWaiting(append(q.waiting, p))
		return
	}
	a := q.arrived[0]
	q.arrived = q.arrived[1:]
	q.box.buffered--
	x.give(p, a)
}

// giveBack ends a wait. What it got, and the code has not seen, goes to the next wait,
// whose own goes to the one behind it, and so on: the last one goes back to the front
// of those that wait for nobody.
func (x *Execution) giveBack(p *Promise) {
	q := p.queue
	if q == nil {
		return // it never waited
	}
	i := slices.Index(x.settled, p)
	if i < 0 {
		if at := slices.Index(q.waiting, p); at >= 0 {
			q.setWaiting(slices.Delete(q.waiting, at, at+1))
			x.forget(q)
		}
		return
	}
	x.settled = slices.Delete(x.settled, i, i+1)
	q.given--
	a := p.got
	for _, behind := range x.settled[i:] {
		if behind.queue == q {
			behind.got, a = a, behind.got
			behind.Result = behind.got.input()
		}
	}
	if !x.pass(q, a) {
		q.arrived = slices.Insert(q.arrived, 0, a)
		q.box.buffered++
	}
}

// untaken returns what of a mailbox the code has not seen, in the order in which it
// arrived.
func (x *Execution) untaken(m *mailbox) []arrival {
	var all []arrival
	for _, q := range m.queues {
		all = append(all, q.arrived...)
	}
	for _, p := range x.settled {
		if p.queue != nil && p.queue.box == m {
			all = append(all, p.got)
		}
	}
	slices.SortFunc(all, func(a, b arrival) int { return cmp.Compare(a.order(), b.order()) })
	return all
}
