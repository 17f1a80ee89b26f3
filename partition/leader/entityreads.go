package leader

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Bounds of one page of a list of entities.
const (
	entitiesOfPage = 1000    // entities in it
	entitiesRead   = 10_000  // entities that were looked at
	entitiesBytes  = 1 << 20 // states in it, but for the last
)

// Signal sends an operation to an entity; it returns when the operation is
// committed. Errors: [ErrFull], and those of all requests.
func (l *Leader) Signal(ctx context.Context, req SignalRequest) error {
	if err := validateEntity(req.Entity, req.Identity); err != nil {
		return err
	}
	if err := history.ValidateOperationName(req.Operation); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if len(req.Input) > history.MaxPayloadBytes {
		return fmt.Errorf("%w: input of %d bytes; at most %d are allowed", ErrTooLarge, len(req.Input), history.MaxPayloadBytes)
	}
	req.Trace = req.Trace.Clean()
	_, err := l.call(ctx, &call{ref: req.Entity, identity: req.Identity, signal: &req})
	return err
}

func validateEntity(ref InstanceRef, id RequestIdentity) error {
	if err := history.ValidateEntityID(ref.ID); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return validateCommon(ref, id)
}

// doSignal gives an operation to an entity. It is never dropped to make room: one too
// many is refused, and may be sent again later with the same identity.
func (q *call) doSignal(c *core, l *live) error {
	if b := backlogOf(l); b.operations >= int64(c.cfg.Limits.Events) || b.bytes >= int64(c.cfg.Limits.EventBytes) {
		q.done <- outcome{err: fmt.Errorf("%w: %s", ErrFull, b)}
		return nil
	}
	if l.rec == nil && len(c.runnable) >= c.cfg.Limits.Runnable {
		q.done <- outcome{err: ErrOverloaded}
		return nil
	}
	return c.postEntity(l, c.mailOf(q, &history.EntityOperationSignaled{
		Operation: q.signal.Operation, Input: q.signal.Input, ScheduledTime: q.signal.ScheduledTime, Trace: q.signal.Trace,
	}))
}

// Entity reads an entity. It is linearizable and waits for no operation.
func (l *Leader) Entity(ctx context.Context, req EntityStatusRequest) (Entity, error) {
	c := l.core
	if err := validateEntity(req.Entity, RequestIdentity{}); err != nil {
		return Entity{}, err
	}
	if err := c.confirm(ctx); err != nil {
		return Entity{}, err
	}
	var out Entity
	err := c.reads.read(func(s partition.Reader) (err error) {
		out, _, err = readEntity(s, partition.NewAddress(c.cfg.Partition, req.Entity.Hub, req.Entity.ID), req.State)
		return err
	})
	return out, err
}

// readEntity reads an entity from the applied state; there is false where it has no
// rows.
func readEntity(s partition.Reader, addr partition.Address, state bool) (e Entity, there bool, err error) {
	e.Ref = InstanceRef{addr.Hub, addr.ID}
	rec, err := partition.ReadRecord(s, addr)
	if err != nil || rec == nil || rec.Entity == nil {
		return e, false, err
	}
	e.Exists, e.Modified, e.Backlog = rec.Entity.State != 0, rec.Entity.Modified, int(rec.Stored)
	if by := rec.Entity.LockedBy; by != nil {
		e.LockedBy = by.Instance
	}
	if state {
		e.State, err = partition.ReadState(s, addr, rec)
	}
	return e, true, err
}

// Entities lists entities of the partition. What was committed before the call is in
// it.
func (l *Leader) Entities(ctx context.Context, req EntitiesRequest) (EntitiesPage, error) {
	c := l.core
	if err := history.ValidateTaskHub(req.Hub); err != nil {
		return EntitiesPage{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if req.Limit <= 0 || req.Limit > entitiesOfPage {
		req.Limit = entitiesOfPage
	}
	if err := c.confirm(ctx); err != nil {
		return EntitiesPage{}, err
	}
	var page EntitiesPage
	err := c.reads.read(func(s partition.Reader) error {
		bytes, read, last := 0, 0, history.InstanceID("")
		return partition.ListEntities(s, c.cfg.Partition, req.Hub, req.Prefix, req.After, func(addr partition.Address) (bool, error) {
			if len(page.Entities) >= req.Limit || read >= entitiesRead || bytes >= entitiesBytes || ctx.Err() != nil {
				page.Next = last
				return false, ctx.Err()
			}
			e, there, err := readEntity(s, addr, req.State)
			if err != nil {
				return false, err
			}
			read++
			last = addr.ID
			if there && (e.Exists || req.Transient) && within(e.Modified, req.From, req.To) {
				page.Entities = append(page.Entities, e)
				bytes += len(e.State)
			}
			return true, nil
		})
	})
	return page, err
}

func within(t, from, to time.Time) bool {
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || t.Before(to))
}
