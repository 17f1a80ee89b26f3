package leader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// historyPage is the size at which a page of history ends, in stored bytes.
const historyPage = 1 << 20

// waitingItems is how many items a status lists of each thing that the instance
// waits for.
const waitingItems = 20

// reads guards the applied state: it is read only during the reign.
type reads struct {
	state applied
	gate  sync.RWMutex // held for reading while the state is read
	ended bool         // protected by gate
}

// read calls fn with the applied state, or fails with ErrNotLeading. Between two reads
// of fn an entry may be applied.
func (r *reads) read(fn func(partition.Reader) error) error {
	r.gate.RLock()
	defer r.gate.RUnlock()
	if r.ended {
		return ErrNotLeading
	}
	return fn(r.state)
}

// readInstant calls fn with the applied state of one moment, or fails with ErrNotLeading.
func (r *reads) readInstant(fn func(partition.Reader) error) error {
	return r.read(func(partition.Reader) error {
		s := &instant{state: r.state}
		return errors.Join(fn(s), s.close())
	})
}

// end waits for reads under way and refuses others.
func (r *reads) end() {
	r.gate.Lock()
	defer r.gate.Unlock()
	r.ended = true
}

// confirm is the read check. It waits until the loop runs.
func (c *core) confirm(ctx context.Context) error {
	select {
	case <-c.running:
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.cfg.Faults.readFromMemory() {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(c.ctx, cancel)
	defer stop()
	err := c.cfg.Log.Confirm(ctx)
	switch {
	case c.ctx.Err() != nil:
		return ErrNotLeading
	case err != nil && ctx.Err() == nil:
		return fmt.Errorf("%w: %w", ErrNotLeading, err)
	}
	return err
}

// Status reads an instance. It is linearizable.
func (l *Leader) Status(ctx context.Context, req StatusRequest) (Instance, error) {
	c := l.core
	if err := c.confirm(ctx); err != nil {
		return Instance{}, err
	}
	if c.cfg.Faults.readFromMemory() {
		return c.fromMemory(ctx, req)
	}
	return c.status(req)
}

// status reads an instance from the applied state.
func (c *core) status(req StatusRequest) (Instance, error) {
	return c.readInstance(req.Instance, func(s partition.Reader, addr partition.Address, rec *partition.Record, in *Instance) error {
		return payloads(s, addr, rec, req.Payloads, in)
	})
}

// addTo adds to the description of an instance what its record does not tell.
type addTo func(partition.Reader, partition.Address, *partition.Record, *Instance) error

// readInstance reads an instance from the applied state: what the record tells, what it
// waits for, and what add adds. All of it is of the same entries: who changes what is
// told changes the record, and where that is another one afterwards, all is read again
// at one moment, which is dearer.
func (c *core) readInstance(ref InstanceRef, add addTo) (in Instance, err error) {
	addr := partition.NewAddress(c.cfg.Partition, ref.Hub, ref.ID)
	same := false
	err = c.reads.read(func(s partition.Reader) error {
		before, err := s.Get(addr.RecordKey())
		if err != nil {
			return err
		}
		var readErr error
		in, readErr = c.instanceOf(s, addr, ref, before, add)
		after, err := s.Get(addr.RecordKey())
		same = bytes.Equal(before, after)
		return errors.Join(readErr, err)
	})
	if same || errors.Is(err, ErrNotLeading) {
		return in, err
	}
	err = c.reads.readInstant(func(s partition.Reader) error {
		record, err := s.Get(addr.RecordKey())
		if err == nil {
			in, err = c.instanceOf(s, addr, ref, record, add)
		}
		return err
	})
	return in, err
}

// instanceOf describes the instance whose stored record is given.
func (c *core) instanceOf(s partition.Reader, addr partition.Address, ref InstanceRef, record []byte, add addTo) (Instance, error) {
	if record == nil {
		return Instance{}, ErrNotFound
	}
	rec, err := partition.DecodeRecord(record)
	if err != nil {
		return Instance{}, fmt.Errorf("read %s: %w", addr, err)
	}
	if rec.Entity != nil {
		return Instance{}, ErrNotFound
	}
	in := describe(ref, rec)
	if err := c.waitsFor(s, addr, rec, &in); err != nil {
		return Instance{}, err
	}
	err = add(s, addr, rec, &in)
	return in, err
}

// describe is what the record alone tells.
func describe(ref InstanceRef, rec *partition.Record) Instance {
	return Instance{
		Ref: ref, Execution: rec.Execution, Name: rec.Name, Version: rec.Version, Status: rec.Status,
		Created: rec.Created, Updated: rec.Updated, Completed: rec.Completed, ScheduledStart: rec.ScheduledStart,
		Tags: rec.Tags, Parent: rec.Parent, HistoryEvents: rec.Events, Parked: rec.Parked.Reason,
		Deadline: rec.Deadline, CancelRequested: rec.CancelRequested, CancelReason: rec.CancelReason,
	}
}

// payloads adds what stands in events: the failure, and input and output where
// they are wanted.
func payloads(s partition.Reader, addr partition.Address, rec *partition.Record, wanted bool, in *Instance) error {
	var first []history.Event
	if wanted {
		var err error
		if first, err = firstEvents(s, addr, rec); err != nil {
			return err
		}
		for _, e := range first {
			if started, ok := e.Body.(*history.ExecutionStarted); ok {
				in.Input = started.Input
			}
		}
		if err := customStatus(s, addr, rec, in); err != nil {
			return err
		}
	}
	return outcomeIn(s, addr, rec, wanted, first, in)
}

// customStatus adds the custom status.
func customStatus(s partition.Reader, addr partition.Address, rec *partition.Record, in *Instance) (err error) {
	if rec.CustomStatus != 0 {
		in.CustomStatus, err = partition.ReadCustomStatus(s, addr)
	}
	return err
}

// outcomeIn adds how the instance ended: the failure, and the output where it is wanted.
// first are the events of its first episode, where they have been read.
func outcomeIn(s partition.Reader, addr partition.Address, rec *partition.Record, wanted bool, first []history.Event, in *Instance) error {
	if !rec.Status.Ended() || !wanted && rec.Status == history.Completed {
		return nil
	}
	last := first
	if last == nil || rec.Episodes != 1 {
		var err error
		if last, err = partition.ReadEpisode(s, addr, rec.Execution, rec.Episodes-1); err != nil {
			return err
		}
	}
	in.outcome(last, wanted)
	return nil
}

// outcome adds how an instance ended, if its last event says so, and the output if it
// is wanted.
func (in *Instance) outcome(last []history.Event, output bool) {
	if len(last) == 0 {
		return
	}
	done, ok := last[len(last)-1].Body.(*history.ExecutionCompleted)
	if !ok {
		return
	}
	in.Failure = done.Failure
	if output {
		in.Output = done.Result
	}
}

// firstEvents returns the events of the execution's first episode, or the mail that
// it will begin with.
func firstEvents(s partition.Reader, addr partition.Address, rec *partition.Record) ([]history.Event, error) {
	if rec.Episodes > 0 {
		return partition.ReadEpisode(s, addr, rec.Execution, 0)
	}
	inbox, err := partition.ReadInbox(s, addr)
	events := make([]history.Event, 0, len(inbox))
	for _, m := range inbox {
		events = append(events, m.Event)
	}
	return events, err
}

// Wait returns when the instance is as the request wants it. It is told by the
// entry that makes it so; nothing polls.
func (l *Leader) Wait(ctx context.Context, req WaitRequest) (Instance, error) {
	c := l.core
	w := &waiter{ended: req.Ended, told: make(chan notice, 1)}
	if err := c.waiters.add(req.Instance, w); err != nil {
		return Instance{}, err
	}
	defer c.waiters.remove(req.Instance, w)
	status := StatusRequest{Instance: req.Instance, Payloads: req.Payloads}
	if !c.foresees(ctx, req.Instance, w) {
		if err := c.confirm(ctx); err != nil {
			return Instance{}, err
		}
		if in, err := c.status(status); err != nil || w.satisfied(in) {
			return in, err
		}
	}
	n, err := c.hear(ctx, w)
	if err != nil {
		return Instance{}, err
	}
	return c.told(status, n)
}

// Execute starts an orchestration and waits for its end. It is [Leader.Start] and
// [Leader.Wait] in one, and costs less: the waiter is there before the end can be, so
// nothing has to be read or confirmed. Where Start would keep an instance, that one is
// waited for. A request with an identity can be repeated, also while it waits.
func (l *Leader) Execute(ctx context.Context, req StartRequest) (Instance, error) {
	c := l.core
	w := &waiter{ended: true, started: req.Execution, told: make(chan notice, 1)}
	if err := c.waiters.add(req.Instance, w); err != nil {
		return Instance{}, err
	}
	defer c.waiters.remove(req.Instance, w)
	answer, err := l.Start(ctx, req)
	if err != nil {
		return Instance{}, err
	}
	if len(w.told) == 0 && (answer.Execution != req.Execution || !c.foresees(ctx, req.Instance, w)) && len(w.told) == 0 {
		// It was started before: by an earlier copy of the request, or by somebody else.
		return l.Wait(ctx, WaitRequest{Instance: req.Instance, Ended: true, Payloads: true})
	}
	n, err := c.hear(ctx, w)
	if err != nil {
		return Instance{}, err
	}
	if n.custom || n.instance.Execution != req.Execution {
		return c.told(StatusRequest{Instance: req.Instance, Payloads: true}, n)
	}
	n.instance.Input = req.Input
	return n.instance, nil
}

// hear waits until a waiter is told.
func (c *core) hear(ctx context.Context, w *waiter) (notice, error) {
	select {
	case n := <-w.told:
		return n, nil
	case <-ctx.Done():
		return notice{}, ctx.Err()
	case <-c.ended:
		return notice{}, ErrNotLeading
	}
}

// told reads the instance of which a waiter was told.
func (c *core) told(status StatusRequest, n notice) (Instance, error) {
	in, err := c.status(status)
	if err == nil && in.Execution == n.instance.Execution || errors.Is(err, ErrNotLeading) {
		return in, err
	}
	return n.instance, nil // it was replaced since; its input is gone
}

// History reads a page of an execution's history. It is linearizable.
func (l *Leader) History(ctx context.Context, req HistoryRequest) (HistoryPage, error) {
	c := l.core
	if err := c.confirm(ctx); err != nil {
		return HistoryPage{}, err
	}
	addr := partition.NewAddress(c.cfg.Partition, req.Instance.Hub, req.Instance.ID)
	var out HistoryPage
	err := c.reads.readInstant(func(s partition.Reader) error {
		rec, err := partition.ReadRecord(s, addr)
		if err != nil {
			return err
		}
		if rec == nil || rec.Entity != nil || req.Execution != "" && req.Execution != rec.Execution {
			return ErrNotFound
		}
		out.Execution = rec.Execution
		size := 0
		return partition.ReadHistory(s, addr, rec.Execution, max(req.FromEpisode, 0), rec.Episodes, func(episode int64, data []byte) (bool, error) {
			events, err := history.DecodeEvents(data)
			if err != nil {
				return false, fmt.Errorf("read episode %d of %s: %w", episode, addr, err)
			}
			out.Events = append(out.Events, events...)
			if size += len(data); size < historyPage || episode == rec.Episodes-1 {
				return true, nil
			}
			out.NextEpisode = episode + 1
			return false, nil
		})
	})
	return out, err
}

// peek is a message: what the leader's memory says, read check or not. Only the
// planted bug uses it.
type peek struct {
	ref  InstanceRef
	done chan Instance
	gone chan struct{}
}

func (p *peek) handle(c *core) error {
	l, err := c.load(p.ref)
	if err != nil {
		return err
	}
	if l.rec == nil {
		close(p.gone)
		return nil
	}
	p.done <- describe(p.ref, l.rec)
	return nil
}

func (p *peek) fail() { close(p.gone) }

func (c *core) fromMemory(ctx context.Context, req StatusRequest) (Instance, error) {
	p := &peek{req.Instance, make(chan Instance, 1), make(chan struct{})}
	if err := c.mailbox.push(p, requests); err != nil {
		return Instance{}, err
	}
	select {
	case in := <-p.done:
		return in, nil
	case <-p.gone:
		return Instance{}, ErrNotFound
	case <-ctx.Done():
		return Instance{}, ctx.Err()
	}
}
