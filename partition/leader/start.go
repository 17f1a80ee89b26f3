package leader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// call is a mutating request on its way through the loop.
type call struct {
	ref       InstanceRef
	identity  RequestIdentity
	start     *StartRequest     // or
	terminate *TerminateRequest // or
	raise     *RaiseRequest     // or
	cancel    *CancelRequest    // or
	complete  *CompleteRequest  // or
	beat      *HeartbeatRequest // or
	update    *UpdateRequest    // or
	signal    *SignalRequest    // one of them
	waiter    *replyWaiter      // of an update
	done      chan outcome      // capacity 1
}

type outcome struct {
	answer StartAnswer
	reply  *UpdateReply // of an update; nil: it will be told
	err    error
}

// Codes of outcomes in remembered answers. They are stored.
const (
	codeOK       = 0
	codeExists   = 1
	codeNotFound = 2
	codeStale    = 3
)

func codeOf(err error) uint8 {
	switch {
	case errors.Is(err, ErrExists):
		return codeExists
	case errors.Is(err, ErrNotFound):
		return codeNotFound
	case errors.Is(err, ErrStale):
		return codeStale
	}
	return codeOK
}

func errorOf(code uint8) error {
	switch code {
	case codeOK:
		return nil
	case codeExists:
		return ErrExists
	case codeNotFound:
		return ErrNotFound
	case codeStale:
		return ErrStale
	}
	return fmt.Errorf("remembered answer has the unknown code %d", code)
}

// Start starts an orchestration; it returns when the start is committed.
func (l *Leader) Start(ctx context.Context, req StartRequest) (StartAnswer, error) {
	if err := validateStart(&req); err != nil {
		return StartAnswer{}, err
	}
	req.Trace = req.Trace.Clean()
	return l.call(ctx, &call{ref: req.Instance, identity: req.Identity, start: &req})
}

// Terminate ends an instance without running its code; it returns when the end
// is committed.
func (l *Leader) Terminate(ctx context.Context, req TerminateRequest) error {
	if len(req.Reason) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: reason of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Reason), history.MaxPayloadBytes)
	}
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return err
	}
	_, err := l.call(ctx, &call{ref: req.Instance, identity: req.Identity, terminate: &req})
	return err
}

func (l *Leader) call(ctx context.Context, c *call) (StartAnswer, error) {
	o, err := l.await(ctx, c)
	return o.answer, err
}

// await brings a request to the loop and waits for its outcome.
func (l *Leader) await(ctx context.Context, c *call) (outcome, error) {
	c.done = make(chan outcome, 1)
	if err := l.core.mailbox.push(c, requests); err != nil {
		return outcome{}, err
	}
	select {
	case o := <-c.done:
		return o, o.err
	case <-ctx.Done():
		return outcome{}, ctx.Err()
	case <-l.core.ended:
	}
	select {
	case o := <-c.done: // it was answered before the end
		return o, o.err
	default:
		return outcome{}, ErrNotLeading
	}
}

func validateStart(req *StartRequest) error {
	if err := validateTarget(req.Instance, req.Identity); err != nil {
		return err
	}
	if req.Name == "" {
		return fmt.Errorf("%w: no orchestrator is named", ErrInvalid)
	}
	if req.Execution == "" {
		return fmt.Errorf("%w: no execution ID", ErrInvalid)
	}
	if req.Timeout < 0 {
		return fmt.Errorf("%w: timeout of %v", ErrInvalid, req.Timeout)
	}
	for _, text := range []string{req.Name, req.Version, string(req.Execution)} {
		if err := validateText(text); err != nil {
			return err
		}
	}
	if len(req.Input) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: input of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Input), history.MaxPayloadBytes)
	}
	if size := history.TagBytes(req.Tags); size > history.MaxTagsBytes {
		return fmt.Errorf("%w: tags of %d bytes; at most %d are allowed", ErrTooLarge, size, history.MaxTagsBytes)
	}
	if err := history.ValidateTags(req.Tags); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

func validateTarget(ref InstanceRef, id RequestIdentity) error {
	if err := history.ValidateOrchestrationID(ref.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return validateCommon(ref, id)
}

// validateCommon checks what requests to orchestrations and entities have in common.
func validateCommon(ref InstanceRef, id RequestIdentity) error {
	if err := history.ValidateTaskHub(ref.Hub); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if id.ID != "" && id.Sent.IsZero() {
		return fmt.Errorf("%w: a request ID without the time when it was first sent", ErrInvalid)
	}
	if len(id.ID) > history.MaxNameBytes {
		return fmt.Errorf("%w: request ID of %d bytes; at most %d are allowed", ErrInvalid, len(id.ID), history.MaxNameBytes)
	}
	return nil
}

// validateText checks a name, a version, or an ID that a caller makes.
func validateText(text string) error {
	if err := history.ValidateName(text); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return nil
}

// handle decides a request.
func (q *call) handle(c *core) error {
	l, err := c.load(q.ref)
	if err != nil {
		return err
	}
	if l.fresh && l.entity == nil || q.identity.ID != "" && c.arriving[q.key()] {
		// What this request is told rests on a start that nobody wrote yet, or on what
		// becomes of the same request, which came before.
		if err := c.store(l); err != nil {
			return err
		}
	}
	if q.update != nil {
		if known, err := q.known(c, l); err != nil || known {
			return err
		}
	}
	if q.identity.ID != "" {
		remembered, err := partition.ReadAnswer(&c.view, l.addr, q.identity.ID, q.identity.Sent)
		if err != nil {
			return err
		}
		switch {
		case remembered != nil && !c.cfg.Faults.noDedup():
			c.answer(q, StartAnswer{Execution: remembered.Execution, Started: remembered.Started}, errorOf(remembered.Code))
			return nil
		case q.start != nil && l.rec != nil && l.rec.Is(q.start.Execution):
			// Sent again after its answer was forgotten, by who still waits for the end.
			c.answer(q, StartAnswer{q.start.Execution, true}, nil)
			return nil
		case q.expired(c):
			return nil
		}
	}
	switch {
	case q.terminate != nil:
		return q.doTerminate(c, l)
	case q.raise != nil:
		return q.doRaise(c, l)
	case q.update != nil:
		return q.doUpdate(c, l)
	case q.signal != nil:
		return q.doSignal(c, l)
	case q.cancel != nil:
		return q.doCancel(c, l)
	case q.complete != nil:
		return q.doComplete(c, l)
	case q.beat != nil:
		return q.doBeat(c, l)
	}
	return q.doStart(c, l)
}

// expired reports whether a request is too old, or of the future, and answers it.
func (q *call) expired(c *core) bool {
	switch sent := q.identity.Sent; {
	case sent.Before(c.now.Add(-c.cfg.Limits.AnswerWindow)):
		c.answer(q, StartAnswer{}, &ExpiredError{Clock: c.now})
	case sent.After(c.now.Add(24 * time.Hour)):
		q.done <- outcome{err: fmt.Errorf("%w: first sent at %s, more than a day ahead of the partition's clock", ErrInvalid, sent.Format(time.RFC3339))}
	default:
		return false
	}
	return true
}

func (q *call) fail() { q.done <- outcome{err: ErrNotLeading} }

// callKey names a request by its identity.
type callKey struct {
	ref     InstanceRef
	request string
	sent    int64
}

func (q *call) key() callKey {
	return callKey{q.ref, q.identity.ID, q.identity.Sent.UnixNano()}
}

// mailOf is the mail that a request becomes. Until it is written or discarded, a
// repetition of the request finds it in arriving.
func (c *core) mailOf(q *call, body history.Body) *mail {
	if q.identity.ID != "" {
		c.arriving[q.key()] = true
	}
	m := &mail{call: q}
	m.Event = history.Event{ID: history.NoID, Time: c.now, Body: body}
	return m
}

// conclude answers a request and remembers the answer.
func (c *core) conclude(q *call, l *live, a StartAnswer, err error) error {
	c.remember(q, l.addr, partition.Answer{Code: codeOf(err), Execution: a.Execution, Started: a.Started})
	c.answer(q, a, err)
	return nil
}

func (c *core) remember(q *call, addr partition.Address, a partition.Answer) {
	if q.identity.ID != "" {
		delete(c.arriving, q.key())
		partition.SetAnswer(&c.view, addr, q.identity.ID, q.identity.Sent, a)
	}
}

func (q *call) doStart(c *core, l *live) error {
	req := q.start
	if l.rec != nil {
		if l.rec.Is(req.Execution) { // the same start, sent again
			return c.conclude(q, l, StartAnswer{req.Execution, true}, nil)
		}
		reuse := req.Reuse
		if reuse == nil {
			reuse = defaultReuse
		}
		switch reuse[l.rec.Status] {
		case KeepExisting:
			return c.conclude(q, l, StartAnswer{l.rec.Execution, false}, nil)
		case Replace:
		default:
			return c.conclude(q, l, StartAnswer{l.rec.Execution, false}, ErrExists)
		}
	}
	if len(c.runnable) >= c.cfg.Limits.Runnable {
		q.done <- outcome{err: ErrOverloaded}
		return nil
	}
	atOnce := false // write it in this entry, do not wait for the episode
	if l.rec != nil {
		if !l.rec.Status.Ended() {
			if err := c.terminate(l, c.termination(nil, false)); err != nil {
				return err
			}
			atOnce = true
		}
	}
	started := &history.ExecutionStarted{
		Name: req.Name, Version: req.Version, Input: req.Input, ExecutionID: req.Execution,
		ScheduledStart: req.ScheduledStart, Trace: req.Trace, Tags: req.Tags,
	}
	if req.Timeout > 0 {
		started.Deadline = later(c.now, req.ScheduledStart).Add(req.Timeout)
	}
	c.create(l, started)
	m := c.mailOf(q, started)
	if req.ScheduledStart.After(c.now) {
		if err := c.replace(l); err != nil {
			return err
		}
		timer, err := partition.Schedule(&c.view, l.addr, l.rec, &m.Mail)
		if err != nil {
			return err
		}
		if err := c.committed(l, []*mail{m}); err != nil {
			return err
		}
		l.mail, l.loaded = nil, false
		c.timers.add(timer)
		return nil
	}
	if err := c.post(l, m); err != nil {
		return err
	}
	if atOnce {
		return c.store(l)
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// create gives an instance a new execution, in place of one that has ended. What
// starts it is mail that comes next.
func (c *core) create(l *live, started *history.ExecutionStarted) {
	if l.rec != nil {
		l.old = l.rec
		l.tail = nil
	}
	l.rec = partition.Create(started, c.now)
	if l.old != nil {
		l.rec.NextMail, l.rec.Before = l.old.NextMail, l.old.Before
	}
	l.fresh = true
	l.loaded = true
}

var defaultReuse = DefaultReuse()

func (q *call) doTerminate(c *core, l *live) error {
	if l.rec == nil {
		return c.conclude(q, l, StartAnswer{}, ErrNotFound)
	}
	if !l.rec.Status.Ended() {
		if err := c.terminate(l, c.termination(q.terminate.Reason, q.terminate.Recurse)); err != nil {
			return err
		}
	}
	return c.conclude(q, l, StartAnswer{}, nil)
}

// termination is the mail of somebody who asks for the end.
func (c *core) termination(reason history.Payload, recurse bool) *mail {
	m := &mail{}
	m.Event = history.Event{ID: history.NoID, Time: c.now, Body: &history.ExecutionTerminated{Reason: reason, Recurse: recurse}}
	return m
}

// terminate ends an execution because somebody asks for it by mail.
func (c *core) terminate(l *live, why *mail) error {
	reason := why.Event.Body.(*history.ExecutionTerminated).Reason
	return c.end(l, &history.ExecutionCompleted{Status: history.Terminated, Result: reason}, why)
}

// end ends an execution without its executor, in the entry under construction,
// because of mail, if there is any. A late answer of the executor finds nobody.
func (c *core) end(l *live, how *history.ExecutionCompleted, why *mail) error {
	if l.run != nil {
		l.mail = append(l.run.mail, l.mail...)
		l.run = nil
	}
	if err := c.loadInbox(l); err != nil {
		return err
	}
	var taken []*mail
	if i := startOf(l.mail); i >= 0 {
		taken = append(taken, l.mail[i])
		l.mail = append(l.mail[:i:i], l.mail[i+1:]...)
	}
	if l.probe { // whether the name is bound, another one has to find out
		from, to := partition.ParkedNameRange(c.cfg.Partition, l.rec.Parked)
		c.retrials = append(c.retrials, retrial{from: from, to: to, probe: true})
		l.probe = false
	}
	if why != nil {
		taken = append(taken, why)
	}
	c.cfg.Executor.Forget(c.key(l))
	l.waiting = false
	ep := endByServer(how)
	if how.Status == history.Terminated {
		ep.Decided[0].ID = l.rec.LastID + 1 // what the code does with that mail is known
	}
	return c.record(l, partition.Turn{Began: c.now, ByServer: true, Episode: ep}, taken)
}

// endByServer is the episode in which the server ends an execution. Its end is no
// decision of the code, and has no ID: on replay the code does not see the episode.
func endByServer(how *history.ExecutionCompleted) history.Episode {
	return history.Episode{Decided: []history.Event{{ID: history.NoID, Body: how}}}
}
