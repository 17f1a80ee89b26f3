package leader

import (
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// entry is an entry of the log, under construction or on its way, and the
// effects that wait for it.
type entry struct {
	sequence uint64 // 0 until it is proposed
	proposed int    // its size when it was, at since of the loop's monotonic clock
	since    time.Duration
	turns    int // recorded in it
	// most is how much the largest turn has added, mostOf whose turn that is.
	most   int
	mostOf InstanceRef
	batch  pebble.Batch
	keys   []string // that it writes, with repetitions
	// needed is set where effects wait for the entry even if it writes nothing.
	needed bool

	replies  []reply
	recorded []record
	dispatch []*attempt
	cancel   []unwanted
	notices  []notice
	spans    []history.Span
	rows     []*live // once for each row of history in the entry, and for an entity that goes
	after    []func()
	answers  []updateAnswer
	told     []toldReply
	// written and received say up to which number the entry writes letters to other
	// partitions, and records those from them.
	written  map[*outLane]uint64
	received map[*inLane]uint64
}

// reply answers a caller who waits for the loop.
type reply struct {
	to     *call
	answer StartAnswer
	err    error
}

// record tells a node what became of a result.
type record struct {
	fn  func(error)
	err error
}

// notice tells waiters how an instance now is.
type notice struct {
	ref InstanceRef
	// instance is what the record tells, and the output and the failure.
	instance Instance
	// started is the execution with which the instance was started.
	started history.ExecutionID
	custom  bool // the instance has a custom status
}

func (e *entry) size() int { return len(e.batch.Repr()) }

func (e *entry) empty() bool { return e.batch.Empty() && !e.needed }

// propose hands the entry under construction to the log, what goes ahead of it
// first.
func (c *core) propose() error {
	if err := c.proposeAhead(); err != nil {
		return err
	}
	c.noteLanes()
	e := c.view.open
	c.view.open = &entry{}
	meta := partition.Meta{Clock: c.clock.Now(), Cut: c.cut, Counts: c.view.counts.recorded()}.Encode()
	_ = e.batch.Set(partition.MetaKey(c.cfg.Partition), meta, nil) // into memory; cannot fail
	return c.send(e)
}

func (c *core) proposeAhead() error {
	e := c.view.ahead
	if e == nil {
		return nil
	}
	c.view.ahead = nil
	return c.send(e)
}

func (c *core) send(e *entry) error {
	repr := e.batch.Repr()
	// Also if it is refused: those who wait for it are told by abandon.
	c.inFlight = append(c.inFlight, e)
	if err := c.fits(e); err != nil {
		return err
	}
	sequence, err := c.cfg.Log.Propose(repr)
	if err != nil {
		return fmt.Errorf("propose to partition %d: %w", c.cfg.Partition, err)
	}
	e.sequence = sequence
	e.batch = pebble.Batch{} // the log has it now
	e.proposed, e.since = len(repr), time.Since(c.began)
	c.stats.Entries++
	c.stats.EntryBytes += uint64(len(repr))
	if c.cfg.Faults.ackBeforeCommit() {
		written := e.written
		e.written = nil // letters are read from the state, where they are not yet
		err := c.let(e)
		e.written = written
		return err
	}
	return nil
}

// advance lets out the effects of the entries that were applied.
func (c *core) advance() error {
	applied := c.cfg.Log.Applied()
	for len(c.inFlight) > 0 && c.inFlight[0].sequence <= applied {
		e := c.inFlight[0]
		c.inFlight[0] = nil
		c.inFlight = c.inFlight[1:]
		c.view.forget(e)
		c.watchers.tell(e.keys)
		took := max(c.mono-e.since, 0)
		c.gathering.committed(e.turns, took, c.mono)
		if m := c.cfg.Meter; m != nil {
			m.Committed(took, e.proposed)
		}
		for _, l := range e.rows {
			if l.unapplied--; l.unapplied == 0 {
				l.tail = nil
				if len(l.queries) > 0 {
					c.queue(l)
				}
				if l.entity != nil {
					l.entity.before = nil
				}
			}
			c.settle(l)
		}
		if err := c.let(e); err != nil {
			return err
		}
	}
	return nil
}

// let lets the effects of an entry out.
func (c *core) let(e *entry) error {
	// Waiters first: who started an instance and is answered need not ask whether it
	// has ended already.
	for _, n := range e.notices {
		c.waiters.tell(n)
	}
	for _, r := range e.replies {
		r.to.done <- outcome{answer: r.answer, err: r.err}
	}
	for _, a := range e.answers {
		a.to.done <- outcome{reply: a.reply}
	}
	for _, t := range e.told {
		c.replies.tell(t)
	}
	for _, r := range e.recorded {
		r.fn(r.err)
	}
	for _, a := range e.cancel {
		c.cfg.Dispatcher.Cancel(a.id, a.reason)
	}
	for _, a := range e.dispatch {
		c.offer(a)
	}
	for _, n := range e.notices {
		if n.instance.Status.Ended() {
			c.replies.end(n.ref, n.started)
		}
	}
	for _, s := range e.spans {
		c.cfg.Spans(s)
	}
	for _, fn := range e.after {
		fn()
	}
	e.after, e.answers, e.told = nil, nil, nil
	for lane, n := range e.received {
		lane.settled(n, c.cut)
	}
	e.replies, e.recorded, e.cancel, e.dispatch, e.notices, e.spans, e.received = nil, nil, nil, nil, nil, nil, nil
	written := e.written
	e.written = nil
	for lane, n := range written {
		if lane.to == c.cfg.Partition {
			continue
		}
		lane.committed = n
		if err := c.forward(lane); err != nil {
			return err
		}
	}
	return nil
}

// newest returns the entry whose commit settles all that the loop has seen, or
// nil where everything is applied.
func (c *core) newest() *entry {
	if !c.view.open.empty() {
		return c.view.open
	}
	if n := len(c.inFlight); n > 0 {
		return c.inFlight[n-1]
	}
	return nil
}

// answer answers a caller once everything that the answer rests on is
// committed, with an entry proposed after the request arrived.
func (c *core) answer(to *call, a StartAnswer, err error) {
	e := c.view.open
	e.needed = true
	e.replies = append(e.replies, reply{to, a, err})
}

// refuse tells a node that a result is stale, once that is committed.
func (c *core) refuse(recorded func(error)) {
	c.stats.StaleResults++
	e := c.view.open
	e.needed = true
	e.recorded = append(e.recorded, record{recorded, ErrStale})
}
