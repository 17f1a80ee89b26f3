package leader

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/reprise-run/reprise/partition"
)

// ErrStale says that a result is of an attempt that is not wanted any more.
var ErrStale = errors.New("attempt is stale")

// Leader is what a node does for a partition during one reign. Its methods may
// be called from any goroutine, before, while and after Run runs; before Run
// requests wait, after it they fail with [ErrNotLeading].
type Leader struct{ core *core }

// New returns a leader for one reign. It does nothing until [Leader.Run].
func New(cfg Config) *Leader {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Leader{core: newCore(cfg)}
}

// Run is the loop. It builds the leader's memory from the state, works until ctx
// is done or the log ends, and drops the memory. It returns the cause. It is
// called once. Episodes that are running are cancelled and not waited for.
func (l *Leader) Run(ctx context.Context) error {
	c := l.core
	ctx, cancel := context.WithCancel(ctx)
	c.ctx = ctx
	close(c.running)
	survey := make(chan struct{})
	go func() {
		defer close(survey)
		ids := c.cfg.Dispatcher.Survey(ctx, c.cfg.Partition, c.epoch)
		if ctx.Err() == nil {
			_ = c.mailbox.push(surveyed(ids), internal) // or the loop has ended
		}
	}()
	err := c.loop()
	cancel()
	close(c.work)
	close(c.ended)
	for _, m := range append(c.taken, c.mailbox.close()...) {
		m.fail()
	}
	c.abandon()
	c.reads.end()
	c.cfg.Executor.ForgetReign(c.cfg.Partition, c.epoch)
	<-survey
	return err
}

// abandon tells those who wait for entries, or for turns, that this leader
// leads no more.
func (c *core) abandon() {
	tell := func(all []*mail) {
		for _, m := range all {
			if m.recorded != nil {
				m.recorded(ErrNotLeading)
			}
			if m.attempt != nil {
				for _, recorded := range m.attempt.again {
					recorded(ErrNotLeading)
				}
			}
		}
	}
	for _, l := range c.lives {
		tell(l.mail)
		if l.run != nil {
			tell(l.run.mail)
		}
	}
	for _, e := range append(c.inFlight, c.view.open) {
		for _, r := range e.recorded {
			r.fn(ErrNotLeading)
		}
	}
	for _, m := range c.early {
		m.fail()
	}
	for _, lane := range c.inLanes {
		for _, call := range lane.calls {
			call.done(LaneAnswer{}, ErrNotLeading)
		}
	}
}

// Complete hands over how an attempt ended. It does not block. recorded is
// called once, from any goroutine and possibly before Complete returns: with nil
// once the result is committed, with [ErrStale] once it is certain that the
// attempt is not wanted; in both cases the node may forget the result. With any
// other error ([ErrNotLeading], [ErrOverloaded]) it keeps it and sends it again
// later, to whoever leads then. A node that has seen a higher epoch ignores
// what a leader of a lower one says.
func (l *Leader) Complete(r ActivityResult, recorded func(error)) {
	if err := l.core.mailbox.push(&result{r, recorded}, results); err != nil {
		recorded(err)
	}
}

// AttemptsLost says that the nodes which ran these attempts, or may have begun them,
// are dead. They are dispatched again with a higher fence; that is not a failed
// attempt. Activities that are attempted at most once fail.
func (l *Leader) AttemptsLost(ids []AttemptID) {
	_ = l.core.mailbox.push(lost(ids), internal) // after the end nobody is concerned
}

// AttemptsRefused says that nodes did not begin these attempts: they are dispatched
// again with a higher fence.
func (l *Leader) AttemptsRefused(ids []AttemptID) {
	_ = l.core.mailbox.push(refused(ids), internal) // after the end nobody is concerned
}

// BindingsChanged says that other names are bound than before: what waited for a
// name or for fitting code is tried again. It does not block.
func (l *Leader) BindingsChanged() { l.core.raise(func(f *flags) { f.bindings = true }) }

// CodeChanged says that a node runs code that none has run before: what did not yield is
// tried again, too. It is for [Leader.BindingsChanged] what that leaves out, since an
// endless loop costs whoever runs it a thread for good.
func (l *Leader) CodeChanged() { l.core.raise(func(f *flags) { f.bindings, f.code = true, true }) }

// CapacityFreed says that a node may have room for activities again. It does not
// block.
func (l *Leader) CapacityFreed() { l.core.raise(func(f *flags) { f.capacity = true }) }

// Stats are counters and sizes of a leader, for people and metrics.
type Stats struct {
	Turns        uint64 // episodes recorded, and ends made by the server
	Entries      uint64 // proposed
	EntryBytes   uint64 // proposed
	InFlight     int    // entries proposed and not applied
	Instances    int    // in memory
	Runnable     int    // waiting for a turn
	Episodes     int    // running
	Attempts     int    // dispatched or adopted, without result
	QueuedTasks  int    // attempts that wait for room
	Timers       int    // in memory
	Waiters      int
	Watchers     int
	Spilled      uint64 // mail stored in inboxes
	Letters      uint64 // delivered: mail from other instances
	Outbox       uint64 // letters to other partitions that they have not recorded yet
	StaleResults uint64 // results refused as stale
	LateEpisodes uint64 // episodes that came back to an instance that had ended
	Parked       uint64 // times that an instance was parked
	// Counts says how many timers are armed and how many instances are parked, once they
	// are Counted.
	Counts  partition.Counts
	Counted bool
}

// Stats returns the present counters.
func (l *Leader) Stats() Stats {
	c := l.core
	c.showing.Lock()
	s := c.shown
	c.showing.Unlock()
	s.Waiters = c.waiters.len()
	s.Watchers = c.watchers.len()
	return s
}
