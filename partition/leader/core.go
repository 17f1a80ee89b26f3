package leader

import (
	"container/list"
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/reprise-run/reprise/partition"
)

// core is the memory of a leader. The fields belong to the loop, except where
// they say otherwise.
type core struct {
	cfg   Config
	log   *slog.Logger
	epoch uint64

	// For all goroutines.
	mailbox  mailbox
	waiters  waiters
	watchers watchers
	replies  replies
	reads    reads
	flags    flags
	slowRuns sync.Map      // InstanceRef → time.Time: episodes that do not yield
	running  chan struct{} // closed when the loop begins
	ended    chan struct{} // closed when the loop has ended
	shown    Stats         // protected by showing
	showing  sync.Mutex

	ctx    context.Context // of the reign; set before running is closed
	stats  Stats           // the counters
	broken error           // met where it could not be returned; ends the reign
	taken  []message       // from the mailbox, and not handled yet

	// The state, and what is on its way to it.
	view      view
	inFlight  []*entry
	gathering gathering

	// Time, as of this round of the loop.
	clock partition.Clock
	now   time.Time     // the partition's clock
	began time.Time     // when the loop began
	mono  time.Duration // since then

	// Instances.
	lives    map[InstanceRef]*live
	idle     *list.List // of *live, the longest idle first
	idleMail int        // payload of the mail of idle entities, which is stored
	touched  []*live    // that may have come to rest in this round
	runnable []*live    // wait for a turn
	spills   []spill    // in the order of their times
	rests    []spill    // likewise

	// Episodes.
	work     chan *run
	runs     []*run // in the order in which they began; the slow ones apart
	slow     []*run // that have been running for long
	episodes int    // that run
	asked    uint64 // how many were asked for
	workers  int

	arriving map[callKey]bool // requests with an identity in mail that is not written yet

	// Activities.
	fence       uint64
	attempts    int // given out or adopted
	queuedTasks int
	queues      map[string]*taskQueue
	serves      uint64 // turns of queues
	inputs      inputs
	surveyed    bool
	early       []message          // came before the survey was over
	lostEarly   map[AttemptID]bool // likewise
	tasksFrom   []byte             // where the next page of pending activities begins; nil: none
	filling     []*taskQueue       // that have room again for what was left in the state

	// Letters to and from other partitions, and of this one to itself.
	cut      uint64 // the partition's cut number
	outLanes []*outLane
	inLanes  []*inLane
	local    localLane
	crowds   map[InstanceRef]*crowd
	// oversized are instances whose turns ended earlier reigns; see [OversizedError].
	oversized map[InstanceRef]*OversizedError
	asksAt    time.Duration // when it is looked whether there is room, since the loop began

	lived      int32  // lives of entities that began
	tracedRuns uint64 // runs of operations that were asked for, some of them traced
	timers     timers
	readyFrom  []byte // where the next page of the ready list begins; nil: none
	bindings   uint64 // how often they changed
	retrials   []retrial
	sweepAt    time.Duration // when old answers are deleted next, since the loop began
	outdated   time.Time     // answers to requests sent before were too old at the last sweep
}

func newCore(cfg Config) *core {
	c := &core{
		cfg:       cfg,
		log:       cfg.Logger.With("partition", cfg.Partition, "epoch", cfg.Log.Epoch()),
		epoch:     cfg.Log.Epoch(),
		running:   make(chan struct{}),
		ended:     make(chan struct{}),
		lives:     make(map[InstanceRef]*live),
		lostEarly: make(map[AttemptID]bool),
		crowds:    make(map[InstanceRef]*crowd),
		idle:      list.New(),
		queues:    make(map[string]*taskQueue),
		work:      make(chan *run, 16*cfg.Limits.Episodes),
		timers:    timers{limit: cfg.Limits.Timers},
	}
	c.mailbox.signal = make(chan struct{}, 1)
	c.mailbox.limits[requests] = cfg.Limits.Mailbox
	c.mailbox.limits[results] = cfg.Limits.Results
	c.mailbox.limits[lanes] = cfg.Limits.Lanes
	c.waiters.by = make(map[InstanceRef][]*waiter)
	c.waiters.limit = cfg.Limits.Waiters
	c.watchers.by = make(map[partition.Owner]*watched)
	c.watchers.limit = cfg.Limits.Watchers
	c.replies.by = make(map[InstanceRef][]*replyWaiter)
	c.replies.limit = cfg.Limits.Waiters
	c.arriving = make(map[callKey]bool)
	c.oversized = make(map[InstanceRef]*OversizedError, len(cfg.Oversized))
	for _, e := range cfg.Oversized {
		c.oversized[e.Instance] = e
	}
	c.reads.state = applied{cfg.Log.State()}
	c.view = view{
		state: c.reads.state,
		rows:  make(map[string]unapplied),
		open:  &entry{},
		max:   4 * cfg.Limits.EntryBytes,
	}
	c.view.full = func() {
		if err := c.proposeAhead(); err != nil {
			c.broken = err
		}
	}
	return c
}

// run is the loop.
func (c *core) loop() error {
	if err := c.recover(); err != nil {
		return err
	}
	alarm := time.NewTimer(0)
	defer alarm.Stop()
	var spare []message
	for {
		select {
		case <-c.ctx.Done():
			return context.Cause(c.ctx)
		case <-c.mailbox.signal:
		case <-c.cfg.Log.Advanced():
		case <-alarm.C:
		}
		c.tick()
		if err := c.advance(); err != nil {
			return err
		}
		if len(c.taken) == 0 {
			spare = c.mailbox.take(spare)
			c.taken = spare
		}
		if err := c.round(); err != nil {
			return err
		}
		alarm.Reset(c.sleep(len(c.taken) > 0))
		c.show()
	}
}

// recover builds the memory from the state: heads of tables, not tables.
func (c *core) recover() error {
	value, err := c.view.Get(partition.MetaKey(c.cfg.Partition))
	if err != nil {
		return err
	}
	meta, err := partition.DecodeMeta(value)
	if err != nil {
		return err
	}
	c.began = time.Now()
	c.clock = partition.NewClock(meta.Clock)
	c.cut = meta.Cut
	switch {
	case meta.Counts != nil:
		c.view.counts.Counts = *meta.Counts
	case value != nil:
		c.view.counts.left = partition.CountedRanges(c.cfg.Partition)
	}
	c.tick()
	if err := partition.Sweep(&c.view, c.cfg.Partition); err != nil {
		return err
	}
	if !c.view.open.empty() {
		if err := c.propose(); err != nil {
			return err
		}
	}
	if err := c.recoverLanes(); err != nil {
		return err
	}
	c.readyFrom, _ = partition.TableRange(c.cfg.Partition, partition.TableReady)
	c.retryParked(false)
	return nil
}

// tick reads the clocks.
func (c *core) tick() {
	mono := time.Since(c.began)
	c.now = c.clock.Advance(c.cfg.Clock(), mono-c.mono)
	c.mono = mono
}

// manyInFlight is how many entries are in flight, pieces of long rows among
// them, before nothing more is taken from the mailbox. One turn adds 80 at most.
const manyInFlight = 64

// crowded reports whether what comes has to wait until the log advanced.
func (c *core) crowded() bool {
	n := len(c.inFlight)
	return n >= manyInFlight || n >= c.cfg.Limits.InFlight && c.view.open.size() >= c.cfg.Limits.EntryBytes
}

// closeFull proposes the entry under construction if it has its size. Whatever does many
// things in a row calls it after each, and stops when the loop is [core.crowded]:
// together they may be more than an entry takes.
func (c *core) closeFull() error {
	if c.view.open.size() < c.cfg.Limits.EntryBytes || len(c.inFlight) >= c.cfg.Limits.InFlight {
		return nil
	}
	return c.propose()
}

// round does what there is to do now. Messages for which there is no room in the
// log stay taken.
func (c *core) round() error {
	for len(c.taken) > 0 && !c.crowded() {
		m := c.taken[0]
		c.taken[0] = nil
		c.taken = c.taken[1:]
		if err := m.handle(c); err != nil {
			return err
		}
		if err := c.closeFull(); err != nil {
			return err
		}
	}
	if !c.crowded() {
		c.raiseFlags()
		for _, step := range []func() error{
			c.fireDue, c.pageReady, c.tendCrowds, c.pageParked, c.pageTasks, c.pageCounts, c.takeLocal, c.storeOverdue, c.watch, c.tendLanes, c.sweepAnswers,
		} {
			if err := step(); err != nil {
				return err
			}
		}
		c.wakeRested()
		if err := c.begin(); err != nil {
			return err
		}
	}
	if c.mayPropose() {
		if err := c.propose(); err != nil {
			return err
		}
	}
	touched := c.touched
	c.touched = c.touched[:0]
	for i, l := range touched {
		touched[i] = nil
		c.settle(l)
	}
	return c.broken
}

// sleep returns how long the loop may sleep if nobody wakes it.
func (c *core) sleep(more bool) time.Duration {
	const longest = time.Hour
	wait := time.Duration(longest)
	if c.crowded() {
		return wait // until the log advanced
	}
	if more {
		return 0
	}
	soon := func(d time.Duration) { wait = min(wait, max(d, time.Millisecond)) }
	if d, ok := c.untilNextTimer(); ok {
		// The wall clock may jump in the meantime.
		soon(min(d, time.Second))
	}
	if d, ok := c.untilLanes(); ok {
		soon(d)
	}
	if d, ok := c.untilGathered(); ok {
		wait = min(wait, d)
	}
	if len(c.crowds) > 0 {
		soon(c.asksAt - c.mono)
	}
	if len(c.spills) > 0 {
		soon(c.cfg.Limits.Spill - (c.mono - c.spills[0].since))
	}
	if len(c.rests) > 0 {
		soon(restAfter - (c.mono - c.rests[0].since))
	}
	if len(c.runs)+len(c.slow) > 0 {
		soon(slowAfter)
	}
	if room := len(c.runnable) < c.cfg.Limits.Runnable; room && (c.readyFrom != nil || len(c.retrials) > 0) || (c.tasksFrom != nil || len(c.filling) > 0) && c.surveyed {
		wait = 0
	}
	if len(c.view.counts.left) > 0 {
		wait = 0
	}
	if (len(c.local.queue) > 0 || c.local.left) && c.roomForLocal() {
		wait = 0
	}
	return wait
}

// sweepAnswers deletes the answers that were older than the window [AnswerGrace]
// ago, while entries are written anyway. The clock may jump; what is deleted has
// been outdated for that long by the monotonic clock.
func (c *core) sweepAnswers() error {
	if c.view.open.empty() || c.mono < c.sweepAt {
		return nil
	}
	before := c.outdated
	c.sweepAt, c.outdated = c.mono+AnswerGrace, c.now.Add(-c.cfg.Limits.AnswerWindow)
	if before.IsZero() {
		return nil
	}
	return partition.ForgetAnswers(&c.view, c.cfg.Partition, before)
}

// flags are wishes that coalesce.
type flags struct {
	mu       sync.Mutex // protects the fields below
	bindings bool
	code     bool // and with them the code behind the names
	capacity bool
}

func (c *core) raise(set func(*flags)) {
	c.flags.mu.Lock()
	set(&c.flags)
	c.flags.mu.Unlock()
	select {
	case c.mailbox.signal <- struct{}{}:
	default:
	}
}

func (c *core) raiseFlags() {
	c.flags.mu.Lock()
	bindings, code, capacity := c.flags.bindings, c.flags.code, c.flags.capacity
	c.flags.bindings, c.flags.code, c.flags.capacity = false, false, false
	c.flags.mu.Unlock()
	if bindings {
		c.bindings++
		if code {
			clear(c.oversized)
		}
		c.retryParked(code)
	}
	if capacity || bindings {
		c.pump()
	}
}

func (c *core) show() {
	s := c.stats
	s.InFlight = len(c.inFlight)
	s.Instances = len(c.lives)
	s.Runnable = len(c.runnable)
	s.Episodes = c.episodes
	s.Attempts = c.attempts
	s.QueuedTasks = c.queuedTasks
	s.Timers = len(c.timers.heap)
	s.Counted, s.Counts = len(c.view.counts.left) == 0, c.view.counts.Counts
	for _, lane := range c.outLanes {
		if lane.to != c.cfg.Partition {
			s.Outbox += lane.next - 1 - lane.acked
		}
	}
	c.showing.Lock()
	c.shown = s
	c.showing.Unlock()
}
