package leader

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// slowAfter is how long an episode runs before it is told to people, and gives
// its place among the running ones to another.
const slowAfter = time.Second

// run is an episode, or queries, on the way through the executor.
type run struct {
	live  *live // whose run it is, unless the instance went on without it
	mail  []*mail
	began time.Time     // the orchestrator's clock
	since time.Duration // of the loop's monotonic clock
	slow  bool
	done  bool
	// bindings is how often the bindings had changed when the executor was asked.
	bindings uint64
	request  EpisodeRequest
	// entity is set where the run is one of operations of an entity; then of request
	// only key and name are.
	entity *EntityRequest
	// queries are asked instead of an episode, if there are any.
	queries []*query

	// What came back. Written by the worker before it posts the run.
	episode history.Episode
	batch   history.Batch
	err     error
}

// enqueue lets an instance wait for a turn.
func (c *core) enqueue(l *live) {
	if l.resting || l.run != nil && l.run.queries == nil {
		return
	}
	l.turn = true
	c.queue(l)
}

// begin starts episodes as long as there is room.
func (c *core) begin() error {
	for len(c.runnable) > 0 && c.episodes-len(c.slow) < c.cfg.Limits.Episodes && c.episodes < cap(c.work) {
		l := c.runnable[0]
		c.runnable[0] = nil
		c.runnable = c.runnable[1:]
		l.queued = false
		if c.query(l) {
			continue
		}
		turn := l.turn
		l.turn = false
		if !turn || c.lives[l.ref] != l || l.rec == nil || l.rec.Status.Ended() || l.run != nil {
			c.touched = append(c.touched, l)
			continue
		}
		if err := c.loadInbox(l); err != nil {
			return err
		}
		if parked, err := c.parkOversized(l); parked || err != nil {
			if err != nil {
				return err
			}
			c.touched = append(c.touched, l)
			continue
		}
		if l.entity != nil {
			if err := c.beginEntity(l); err != nil {
				return err
			}
			continue
		}
		if len(l.mail) == 0 {
			c.afterQueries(l)
			continue
		}
		c.ask(l)
	}
	return nil
}

// ask asks the executor for an episode with all mail of an instance.
func (c *core) ask(l *live) {
	n := l.few(portion(l.mail))
	r := &run{mail: l.mail[:n:n]}
	l.mail = l.mail[n:]
	arrived := make([]history.Event, 0, 1+len(r.mail))
	arrived = append(arrived, history.Event{ID: history.NoID, Time: c.now, Body: history.OrchestratorStarted{}})
	for _, m := range r.mail {
		arrived = append(arrived, m.Event)
	}
	c.asked++
	r.request = EpisodeRequest{
		Key: c.key(l), Name: l.rec.Name, Version: l.rec.Version,
		Episodes: l.rec.Episodes, History: c.past(l), Arrived: arrived, Fence: Fence{c.epoch, c.asked},
	}
	c.launch(l, r)
}

// launch gives an episode, queries, or operations of an entity, to a worker.
func (c *core) launch(l *live, r *run) {
	r.live, r.began, r.since, r.bindings = l, c.now, c.mono, c.bindings
	l.run = r
	c.episodes++
	c.runs = append(c.runs, r)
	if c.episodes > c.workers {
		c.workers++
		go c.worker()
	}
	c.work <- r // has room for all that may run
}

// worker runs episodes until the reign ends. It is not waited for: the code of
// an orchestrator may never yield. It touches nothing of the loop's.
func (c *core) worker() {
	for r := range c.work {
		switch {
		case r.entity != nil:
			c.operate(r)
		case r.queries != nil:
			r.answer(c)
		default:
			r.episode, r.err = c.cfg.Executor.Episode(c.ctx, r.request)
		}
		_ = c.mailbox.push(r, internal) // or the reign has ended, and nobody wants it
	}
}

// past returns the loader of an execution's recorded events: the applied rows,
// and those in memory that are not applied yet.
func (c *core) past(l *live) func(context.Context) ([]history.Event, error) {
	addr, execution, episodes, tail := l.addr, l.rec.Execution, l.rec.Episodes, l.tail
	if episodes == 0 {
		return func(context.Context) ([]history.Event, error) { return nil, nil }
	}
	return func(ctx context.Context) ([]history.Event, error) {
		var events []history.Event
		add := func(data []byte) error {
			more, err := history.DecodeEvents(data)
			events = append(events, more...)
			return err
		}
		stored := episodes
		if len(tail) > 0 {
			stored = tail[0].episode
		}
		var found int64
		err := c.reads.read(func(s partition.Reader) error {
			return partition.ReadHistory(s, addr, execution, 0, stored, func(_ int64, data []byte) (bool, error) {
				found++
				return ctx.Err() == nil, add(data)
			})
		})
		if err == nil {
			err = ctx.Err()
		}
		if err == nil && found != stored {
			err = fmt.Errorf("%d of %d rows are there", found, stored)
		}
		for _, row := range tail {
			if err == nil {
				err = add(row.data)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("load history of %s: %w", addr, err)
		}
		return events, nil
	}
}

// handle takes an episode back.
func (r *run) handle(c *core) error {
	r.done = true
	c.episodes--
	if r.slow {
		c.slow = slices.DeleteFunc(c.slow, func(other *run) bool { return other == r })
		c.slowRuns.Delete(InstanceRef{r.request.Key.Hub, r.request.Key.Instance})
	}
	l := r.live
	if l.run != r {
		c.stats.LateEpisodes++
		c.cfg.Executor.Forget(r.request.Key)
		return nil
	}
	l.run = nil
	if r.queries != nil {
		c.afterQueries(l)
		return nil
	}
	c.touched = append(c.touched, l)
	if r.entity != nil {
		return c.operated(l, r)
	}
	if len(l.queries) > 0 {
		defer c.queue(l)
	}
	if r.err == nil {
		if err := partition.Validate(l.rec, r.episode); err != nil {
			r.err = err
		} else if !validUnrecorded(r) {
			r.err = fmt.Errorf("%w: it leaves out mail that is no update, or twice", partition.ErrUnsupported)
		} else if err := partition.ValidateSections(&c.view, l.addr, l.rec, rows(r.mail), r.episode); errors.Is(err, partition.ErrUnsupported) {
			r.err = err
		} else if err != nil {
			return err
		} else if r.err = c.room(l, r.episode.Decided); r.err == nil {
			return c.turn(l, r)
		} else if errors.Is(r.err, errTooCrowded) {
			r.episode = flooding(r.err)
			c.cfg.Executor.Forget(r.request.Key)
			return c.turn(l, r)
		}
	}
	l.mail = append(r.mail, l.mail...)
	c.cfg.Executor.Forget(r.request.Key)
	return c.notRun(l, r)
}

// notRun lets mail wait whose episode, or operations, did not run.
func (c *core) notRun(l *live, r *run) error {
	var diff *history.NondeterminismError
	var crowded *crowdedError
	switch {
	case errors.Is(r.err, ErrNoLocal):
		return c.parkAfter(r, partition.Incomplete, r.err.Error())
	case errors.Is(r.err, ErrUnbound):
		return c.parkAfter(r, partition.Unbound, r.err.Error())
	case errors.As(r.err, &diff):
		return c.parkAfter(r, partition.Nondeterministic, diff.Error())
	case errors.Is(r.err, partition.ErrUnsupported):
		return c.parkAfter(r, partition.Unrecordable, r.err.Error())
	case errors.As(r.err, &crowded):
		return c.parkCrowded(l, crowded)
	}
	c.log.Warn("an episode failed and is asked for again", "instance", l.addr.String(), "error", r.err)
	return c.rest(l)
}

func (r *run) fail() {}

// turn records an episode.
func (c *core) turn(l *live, r *run) error {
	text := tooMuch(l.addr, l.rec, r.episode)
	if text != "" && len(r.mail) > 1 {
		l.mail = append(r.mail, l.mail...)
		c.cfg.Executor.Forget(r.request.Key)
		c.byHalves(l, len(r.mail))
		return nil
	}
	if text != "" {
		r.episode = tooLarge(text) // all its mail is recorded
		c.cfg.Executor.Forget(r.request.Key)
	}
	c.bound(l)
	nothing, err := c.refuseUpdates(l, r)
	if err != nil {
		return err
	}
	if nothing {
		c.proceed(l)
		return nil
	}
	if err := c.record(l, partition.Turn{Began: r.began, Episode: r.episode}, r.mail); err != nil {
		return err
	}
	c.proceed(l)
	return nil
}

// proceed lets an instance go on with the mail that came since.
func (c *core) proceed(l *live) {
	if len(l.mail) > 0 {
		c.enqueue(l)
		if slices.ContainsFunc(l.mail, func(m *mail) bool { return m.Number == 0 }) {
			c.letWait(l)
		}
	}
}

// record writes a turn and attaches its effects to the entry.
func (c *core) record(l *live, t partition.Turn, taken []*mail) error {
	if err := c.replace(l); err != nil {
		return err
	}
	pending, key := l.rec.Status == history.Pending, c.key(l)
	before := c.view.open.size()
	fx, err := c.writeTurn(l, t, taken)
	if err != nil {
		return err
	}
	if err := c.followUp(l, key, fx); err != nil {
		return err
	}
	c.view.open.weighed(l.ref, c.view.open.size()-before)
	if pending || fx.Ended {
		n := notice{ref: l.ref, instance: describe(l.ref, l.rec), started: l.rec.StartedAs(), custom: l.rec.CustomStatus != 0}
		n.instance.outcome(t.Episode.Decided, true)
		c.view.open.notices = append(c.view.open.notices, n)
	}
	return nil
}

// writeTurn puts a turn into the open entry: its rows, the mail that it took and the
// letters that it sends.
func (c *core) writeTurn(l *live, t partition.Turn, taken []*mail) (fx partition.Effects, err error) {
	t.Mail, t.Rest = rows(taken), rows(l.mail)
	spans, err := c.turnSpans(l, t)
	if err != nil {
		return fx, err
	}
	if err := c.outsideSpans(l, t); err != nil {
		return fx, err
	}
	fx, err = partition.Apply(&c.view, l.addr, l.rec, t)
	if err != nil {
		return fx, err
	}
	c.countTurn()
	e := c.view.open
	e.spans = append(e.spans, spans...)
	if fx.Continued == nil {
		l.tail = append(l.tail, tailRow{l.rec.Episodes - 1, fx.Row})
		l.unapplied++
		e.rows = append(e.rows, l)
	}
	// First what nobody takes any more: the letters that came before those in taken
	// are stored with them, and an instance that has ended stores nothing.
	if rest := l.mail; len(fx.Dropped) > 0 {
		for _, i := range fx.Dropped {
			if rest[i] != nil {
				c.discard(rest[i])
			}
			rest[i] = nil
		}
		l.mail = slices.DeleteFunc(rest, func(m *mail) bool { return m == nil })
	}
	if err := c.committed(l, taken); err != nil {
		return fx, err
	}
	if t.ByServer && c.cfg.Faults.lockKept() {
		fx.Sent = slices.DeleteFunc(fx.Sent, func(l partition.Letter) bool { return l.Event.Body.Kind() == history.KindEntityUnlockSent })
	}
	return fx, c.write(fx.Sent)
}

// followUp gives the open entry what is to be done when it is applied, and lets the
// instance go on if it continues as new; key names the execution of the turn.
func (c *core) followUp(l *live, key ExecutionKey, fx partition.Effects) error {
	for _, u := range fx.Replied {
		c.tellReply(l, u, false)
	}
	for _, canceled := range fx.Canceled {
		c.drop(l, canceled.TaskID, canceled.Reason)
	}
	for _, task := range fx.Tasks {
		c.schedule(l, task)
	}
	for _, timer := range fx.Armed {
		c.timers.add(timer)
	}
	if fx.Ended || fx.Continued != nil {
		why := "the orchestration has ended"
		if fx.Continued != nil {
			why = "the orchestration continues as new"
		}
		for id := range l.attempts {
			c.drop(l, id, why)
		}
		l.loaded = true
	}
	if fx.Continued != nil {
		return c.goOn(l, key, fx.Continued)
	}
	return nil
}

// goOn lets an instance go on with a new execution. All mail that it has is stored.
func (c *core) goOn(l *live, old ExecutionKey, first []*partition.Mail) error {
	c.cfg.Executor.Forget(old)
	if err := c.committed(l, l.mail); err != nil {
		return err
	}
	l.tail = nil
	all := make([]*mail, 0, len(first)+len(l.mail))
	for _, m := range first {
		all = append(all, &mail{Mail: *m})
	}
	l.mail = append(all, l.mail...)
	return nil
}

func rows(all []*mail) []*partition.Mail {
	rows := make([]*partition.Mail, len(all))
	for i, m := range all {
		rows[i] = &m.Mail
	}
	return rows
}

// episodeBytes bounds the payloads that one episode decides, together; and those
// of the mail that it takes, but for the last.
const (
	episodeBytes = 2 * history.MaxPayloadBytes
	mailBytes    = 8 << 20
	// inlineBytes bounds, with one largest payload, what goes to others and to the next
	// execution and is not written ahead in pieces.
	inlineBytes = 8 << 20
	// turnBytes bounds what the rows of one turn take in the entry itself, rowsOfOne is
	// what they do for each activity or the like, beside the names of its instance. An
	// entry has [raftlog.MaxEntryBytes] at most.
	turnBytes = 44 << 20
	rowsOfOne = 400
)

// maxPending is how many activities, timers, sub-orchestrations and operations of
// entities one execution may wait for, together with the letters that it sends in one
// episode: all of them may have to be written, or given up, in one entry. An activity
// that has to begin or to end in time counts twice: its row, its progress, the timers of
// both limits and that of its next attempt are 1.7 KB of keys where IDs are long, and
// 30,000 times that is more than an entry holds.
const maxPending = 30_000

// tooMuch says what of an episode is too much for an entry of the log; empty where it
// can be recorded.
func tooMuch(a partition.Address, r *partition.Record, ep history.Episode) string {
	pending := r.Activities + r.Limited + r.Timers + r.Children + r.Calls
	sum := len(ep.CustomStatus)
	largest := sum
	inline := partition.CarriedInline(a, ep) // bytes that the rows of the entry itself hold
	replies, demands := 0, 0                 // likewise
	for _, e := range ep.Decided {
		size := len(history.PayloadOf(e.Body))
		sum += size + history.FailureIn(e.Body).Bytes()
		largest = max(largest, size)
		switch body := e.Body.(type) {
		case *history.TaskScheduled:
			pending++
			demands += partition.DemandBytes(body)
			if o := body.Options; o != nil && (o.ScheduleToStart > 0 || o.ScheduleToClose > 0) {
				pending++
			}
		case *history.TimerCreated:
			pending++
		case *history.SubOrchestrationInstanceCreated:
			pending++
			inline += partition.Inline(len(body.Name) + 2*len(body.Instance) + len(body.Version) + history.TagBytes(body.Tags) + len(body.Input) + body.Trace.Bytes())
		case *history.EventSent:
			pending++
			inline += partition.Inline(len(body.Name) + len(body.Instance) + len(body.Input) + body.Trace.Bytes())
		case *history.EntityOperationSignaled:
			pending++
			inline += partition.Inline(len(body.Operation) + len(body.Target) + len(body.Input) + body.Trace.Bytes())
		case *history.EntityOperationCalled:
			pending++
			inline += partition.Inline(2*len(body.Operation) + 2*len(body.Target) + len(body.Input) + body.Trace.Bytes())
		case *history.EntityLockRequested:
			pending += int64(len(body.LockSet))
		case *history.SubOrchestrationInstanceCanceled:
			inline += len(body.Reason)
		case *history.UpdateCompleted:
			replies += partition.Inline(size + body.Failure.Bytes() + 2*len(body.Name) + 2*len(body.Request))
		}
	}
	together := inline + replies + demands + len(ep.CustomStatus) + int(pending)*(2*(len(a.Hub)+len(a.ID))+rowsOfOne)
	switch {
	case largest > history.MaxPayloadBytes || sum > episodeBytes:
		return fmt.Sprintf("the orchestrator decided %d bytes of payload in one episode; at most %d in one payload and %d together are allowed; let it wait in between, or hand on references to what is large", sum, history.MaxPayloadBytes, episodeBytes)
	case inline > inlineBytes+history.MaxPayloadBytes:
		return fmt.Sprintf("the orchestrator sends or carries on %d bytes in one episode, in many pieces and with their tags; at most %d are allowed; let it wait in between", inline, inlineBytes+history.MaxPayloadBytes)
	case pending > maxPending:
		return fmt.Sprintf("the orchestrator would wait for %d activities, timers, sub-orchestrations and operations at a time; at most %d are allowed", pending, maxPending)
	case together > turnBytes:
		return fmt.Sprintf("the custom status, what the orchestrator sends and replies, and what it waits for are %d bytes in one episode; at most %d are allowed; let it wait in between", together, turnBytes)
	}
	return ""
}

// portion returns how much of the mail one episode takes.
func portion(all []*mail) int {
	sum := 0
	for i, m := range all[:min(len(all), maxPending)] {
		if sum += bytesOf(m); sum > mailBytes {
			return i + 1
		}
	}
	return min(len(all), maxPending)
}

// tooLarge is what is recorded in place of an episode with such a payload.
func tooLarge(text string) history.Episode {
	return endByServer(&history.ExecutionCompleted{
		Status:  history.Failed,
		Failure: &history.Failure{Type: history.FailureTooLarge, NonRetriable: true, Message: text},
	})
}

// watch looks after episodes that run for long: they make room for others, are
// told to people, and are parked in the end, so that no later leader runs them
// again.
func (c *core) watch() error {
	for len(c.runs) > 0 && (c.runs[0].done || c.mono-c.runs[0].since >= slowAfter) {
		r := c.runs[0]
		c.runs[0] = nil
		c.runs = c.runs[1:]
		if !r.done {
			r.slow = true
			c.slow = append(c.slow, r)
			c.slowRuns.Store(InstanceRef{r.request.Key.Hub, r.request.Key.Instance}, r.began)
			what := "an episode does not yield"
			if r.queries != nil {
				what = "a query is not answered"
			}
			c.log.Warn(what, "instance", r.live.addr.String(), "name", r.request.Name)
		}
	}
	for _, r := range c.slow {
		l := r.live
		if r.queries == nil && c.mono-r.since >= c.cfg.Limits.Stuck && l.run == r && l.rec.Parked.Why != partition.Stuck {
			if err := c.park(l, partition.Stuck, fmt.Sprintf("an episode did not yield within %s: the code loops, or blocks on something that is not durable; the log of the node that ran it has its stack", c.cfg.Limits.Stuck)); err != nil {
				return err
			}
			l.refuseQueries(errStuck)
		}
	}
	return nil
}

// restAfter is how long an instance rests after an episode that failed for a
// passing reason.
const restAfter = 250 * time.Millisecond

// rest stores the mail of an instance and asks again later.
func (c *core) rest(l *live) error {
	l.resting = true
	c.rests = append(c.rests, spill{l, c.mono})
	return c.store(l)
}

// wakeRested asks again for episodes that failed.
func (c *core) wakeRested() {
	for len(c.rests) > 0 && c.mono-c.rests[0].since >= restAfter {
		l := c.rests[0].live
		c.rests = c.rests[1:]
		l.resting = false
		c.touched = append(c.touched, l)
		c.enqueue(l)
	}
}
