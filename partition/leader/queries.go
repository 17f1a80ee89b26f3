package leader

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// ErrNoHandler says that an orchestration does not handle what it was asked, or cannot
// be asked: it has not begun, or its history is too long to replay it after its end.
var ErrNoHandler = errors.New("the orchestration does not handle this")

// QueryRequest asks a running orchestration. It changes nothing.
type QueryRequest struct {
	Instance InstanceRef
	Name     string
	Input    history.Payload
}

// QueryAnswer is what its code answers; Failure is set where it refuses.
type QueryAnswer struct {
	Result  history.Payload
	Failure *history.Failure
}

// Inquiry is a query for an [Executor]: it names the execution and what of it is
// recorded, as an [EpisodeRequest] without what arrived.
type Inquiry struct {
	Execution EpisodeRequest
	Query     string
	Input     history.Payload
}

const (
	// waitingQueries is how many queries of one instance wait at a time.
	waitingQueries = 256
	// endedEvents is how long the history of an instance that has ended may be to be
	// replayed for a query.
	endedEvents = 100_000
	// maxQueryBytes bounds the name of a query or an update.
	maxQueryBytes = history.MaxEventNameBytes
)

// Query asks an orchestration, which answers from its newest state that is committed
// when no episode of it runs: mail that was there before is taken first. It is
// linearizable. Errors: [ErrNotFound], [ErrNoHandler], also where the code does not
// fit, [ErrUnbound], and those of all reads.
func (l *Leader) Query(ctx context.Context, req QueryRequest) (QueryAnswer, error) {
	if err := validateAsked(req.Instance, req.Name, req.Input); err != nil {
		return QueryAnswer{}, err
	}
	c := l.core
	if err := c.confirm(ctx); err != nil {
		return QueryAnswer{}, err
	}
	q := &query{QueryRequest: req, ctx: ctx, done: make(chan answered, 1)}
	if err := c.mailbox.push(q, requests); err != nil {
		return QueryAnswer{}, err
	}
	select {
	case a := <-q.done:
		return a.answer, a.err
	case <-ctx.Done():
		return QueryAnswer{}, ctx.Err()
	case <-c.ended:
		return QueryAnswer{}, ErrNotLeading
	}
}

// validateAsked checks a query or an update.
func validateAsked(ref InstanceRef, name string, input history.Payload) error {
	if err := validateTarget(ref, RequestIdentity{}); err != nil {
		return err
	}
	if err := validateText(name); err != nil {
		return err
	}
	switch {
	case name == "" || len(name) > maxQueryBytes:
		return fmt.Errorf("%w: the name %.32q has %d bytes; 1 to %d are allowed", ErrInvalid, name, len(name), maxQueryBytes)
	case len(input) > history.MaxPayloadBytes:
		return fmt.Errorf("%w: input of %d bytes; at most %d are allowed", ErrTooLarge, len(input), history.MaxPayloadBytes)
	}
	return nil
}

// query is a message, and then a query that waits for its instance.
type query struct {
	QueryRequest
	ctx  context.Context
	done chan answered // capacity 1
}

type answered struct {
	answer QueryAnswer
	err    error
}

func (q *query) refuse(err error) { q.done <- answered{err: err} }

func (q *query) fail() { q.refuse(ErrNotLeading) }

func (q *query) handle(c *core) error {
	if q.ctx.Err() != nil {
		return nil
	}
	l, err := c.load(q.Instance)
	if err != nil {
		return err
	}
	if l.rec == nil {
		c.afterAll(func() { q.refuse(ErrNotFound) })
		return nil
	}
	if l.stuck() {
		q.refuse(errStuck)
		return nil
	}
	if len(l.queries) >= waitingQueries {
		q.refuse(ErrOverloaded)
		return nil
	}
	l.queries = append(l.queries, q)
	c.queue(l)
	return nil
}

// stuck reports whether an episode runs that does not yield: then nobody can be asked.
func (l *live) stuck() bool { return l.run != nil && l.rec.Parked.Why == partition.Stuck }

var errStuck = fmt.Errorf("%w now: an episode of it does not yield", ErrNoHandler)

// refuseQueries tells those who wait to ask an instance that they cannot.
func (l *live) refuseQueries(why error) {
	for _, q := range l.queries {
		q.refuse(why)
	}
	l.queries, l.queriesFirst = nil, false
}

// afterAll calls fn once all that the loop has written so far is committed.
func (c *core) afterAll(fn func()) {
	if e := c.newest(); e != nil {
		e.after = append(e.after, fn)
		return
	}
	fn()
}

// queue lets an instance wait for what there is to do with it: queries, or a turn.
func (c *core) queue(l *live) {
	if !l.queued && l.run == nil && !l.resting {
		l.queued = true
		c.runnable = append(c.runnable, l)
	}
}

// query asks the queries of an instance. It returns false where a turn goes first,
// which may be there or not.
func (c *core) query(l *live) bool {
	if len(l.queries) == 0 || c.lives[l.ref] != l || l.run != nil || l.rec == nil {
		return false
	}
	idle := l.rec.Status.Ended() || l.rec.Parked.Why != partition.NotParked || l.rec.StartArmed
	switch {
	case !idle && !l.queriesFirst && (len(l.mail) > 0 || l.rec.Stored > 0):
		l.queriesFirst, l.turn = true, true
		return false
	case l.unapplied > 0:
		return true // advance comes back to it
	}
	queries := l.queries
	l.queries, l.queriesFirst = nil, false
	if err := unasked(l.rec); err != nil {
		for _, q := range queries {
			c.afterAll(func() { q.refuse(err) })
		}
		c.afterQueries(l)
		return true
	}
	c.launch(l, &run{queries: queries, request: EpisodeRequest{
		Key: c.key(l), Name: l.rec.Name, Version: l.rec.Version, Episodes: l.rec.Episodes, History: c.past(l),
	}})
	return true
}

// unasked says why an instance cannot be asked now, if it cannot.
func unasked(r *partition.Record) error {
	switch {
	case r.Episodes == 0 && r.Parked.Why == partition.Unbound && r.Version != "":
		return fmt.Errorf("%w %q in version %q", ErrUnbound, r.Name, r.Version)
	case r.Episodes == 0 && r.Parked.Why == partition.Unbound:
		return fmt.Errorf("%w %q", ErrUnbound, r.Name)
	case r.Episodes == 0:
		return fmt.Errorf("%w: it has not begun", ErrNoHandler)
	case r.Status.Ended() && r.Events > endedEvents:
		return fmt.Errorf("%w: it has ended with a history of %d events; up to %d are replayed for a query", ErrNoHandler, r.Events, endedEvents)
	}
	return nil
}

// answer asks the executor, on a goroutine beside the loop.
func (r *run) answer(c *core) {
	for _, q := range r.queries {
		ctx, cancel := context.WithCancel(q.ctx)
		stop := context.AfterFunc(c.ctx, cancel)
		a, err := c.cfg.Executor.Query(ctx, Inquiry{Execution: r.request, Query: q.Name, Input: q.Input})
		var unfit *history.NondeterminismError
		switch {
		case err != nil && c.ctx.Err() != nil:
			err = ErrNotLeading
		case errors.As(err, &unfit):
			err = fmt.Errorf("%w: its code does not fit its history: %w", ErrNoHandler, err)
		}
		stop()
		cancel()
		q.done <- answered{a, err}
	}
}

// afterQueries lets an instance go on after its queries.
func (c *core) afterQueries(l *live) {
	if len(l.mail) > 0 && l.rec.Parked.Why == partition.NotParked {
		l.turn = true
	}
	if l.turn || len(l.queries) > 0 {
		c.queue(l)
	}
	c.touched = append(c.touched, l)
}
