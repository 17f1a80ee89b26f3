package partition

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// Entity is what the record of an entity has beyond that of an orchestration. An
// entity has rows as long as it has a state, is locked, or has mail or scheduled
// operations; its execution is the time from the first of them to the last.
type Entity struct {
	// LockedBy is who holds the entity, and by which decision; nil: nobody.
	LockedBy *history.ParentInstance
	// Modified is when its last run was recorded.
	Modified time.Time
	// State is the number of the row that holds the state, of so many pieces; 0 where
	// there is no state. A long state is written as a row of a new number, so that the
	// old one is whole until the entry that replaces it; LastState is the highest one.
	State     uint64
	Pieces    int
	LastState uint64
	// Scheduled counts the operations that are not due yet; NextSignal numbers them.
	Scheduled  int64
	NextSignal int32
	// Listed is set while the entity has its row in the list of entities.
	Listed bool
}

func putEntity(p *pack.Writer, e *Entity) {
	if e == nil {
		p.Nil()
		return
	}
	p.Array(8)
	history.WriteParent(p, e.LockedBy)
	p.Time(e.Modified)
	p.Int(int64(e.State))
	p.Int(int64(e.Pieces))
	p.Int(int64(e.LastState))
	p.Int(e.Scheduled)
	p.Int(int64(e.NextSignal))
	p.Bool(e.Listed)
}

func getEntity(u *pack.Reader) *Entity {
	if u.IsNil() {
		return nil
	}
	if u.Array() != 8 {
		u.Fail("odd shape")
	}
	return &Entity{
		LockedBy: history.ReadParent(u), Modified: u.Time(),
		State: uint64(u.Int()), Pieces: int(u.Int()), LastState: uint64(u.Int()),
		Scheduled: u.Int(), NextSignal: int32(u.Int()), Listed: u.Bool(),
	}
}

// CreateEntity returns the record of an entity that comes into being. It is not
// written yet. before is the record of its life before, where the rows of that go in
// the same entry; otherwise nil.
func CreateEntity(a Address, life history.ExecutionID, before *Record, now time.Time) *Record {
	name, _ := a.ID.Entity()
	r := &Record{
		Execution: life, Name: "@" + name, Status: history.Running, Created: now, Updated: now,
		LastID: history.NoID, NextMail: 1, Entity: &Entity{},
	}
	if before != nil { // what was deleted is not written again under the same key
		r.NextMail = before.NextMail
		r.Entity.LastState, r.Entity.NextSignal = before.Entity.LastState, before.Entity.NextSignal
	}
	return r
}

// IsHolder reports whether somebody, by one of his decisions, holds the entity.
func (e *Entity) IsHolder(p *history.ParentInstance) bool {
	by := e.LockedBy
	return by != nil && p != nil && by.Instance == p.Instance && by.Execution == p.Execution && by.TaskID == p.TaskID
}

// entityPrefix begins the keys of the list of entities of a task hub.
func entityPrefix(partition uint32, hub history.TaskHub, extra int) []byte {
	key := tableKey(partition, TableEntities, len(hub)+1+extra)
	key = append(key, hub...)
	return append(key, 0)
}

func (a Address) entityKey() []byte {
	key := entityPrefix(a.Partition, a.Hub, len(a.ID)+1)
	key = append(key, a.ID...)
	return append(key, 0)
}

func parseEntityKey(key []byte) (Address, error) {
	hub, rest, err := cut(key[tableHeader:])
	if err != nil {
		return Address{}, err
	}
	id, _, err := cut(rest)
	return NewAddress(binary.BigEndian.Uint32(key), history.TaskHub(hub), history.InstanceID(id)), err
}

// ListEntities calls fn with the entities of a task hub whose IDs have a prefix and
// come behind another, in the order of their IDs, until it returns false.
func ListEntities(r Reader, partition uint32, hub history.TaskHub, prefix, behind history.InstanceID, fn func(Address) (bool, error)) error {
	from := append(entityPrefix(partition, hub, len(prefix)), prefix...)
	to := after(from)
	if behind != "" {
		from = append(append(entityPrefix(partition, hub, len(behind)+1), behind...), 1)
	}
	var failed error
	err := r.Scan(from, to, func(key, _ []byte) bool {
		a, err := parseEntityKey(key)
		more := false
		if err == nil {
			more, err = fn(a)
		}
		failed = err
		return more && err == nil
	})
	if err != nil {
		return err
	}
	return failed
}

// enlist writes the entity's row in the list, if it is not there.
func enlist(s Store, a Address, r *Record) {
	if !r.Entity.Listed {
		r.Entity.Listed = true
		s.Set(a.entityKey(), readyValue)
	}
}

func (a Address) stateKey(number uint64) []byte {
	return binary.BigEndian.AppendUint64(a.key(TableEntityStates, 8+2), number)
}

// ReadState returns the state of an entity; nil where it has none.
func ReadState(r Reader, a Address, rec *Record) (history.Payload, error) {
	if rec.Entity.State == 0 {
		return nil, nil
	}
	state := history.Payload{}
	for n := range rec.Entity.Pieces {
		value, err := r.Get(pieceKey(a.stateKey(rec.Entity.State), n))
		if err == nil && len(value) < rowHeader {
			err = fmt.Errorf("%w: piece %d of %d has %d bytes", pack.ErrMalformed, n, rec.Entity.Pieces, len(value))
		}
		if err != nil {
			return nil, fmt.Errorf("read the state of %s: %w", a, err)
		}
		state = append(state, value[rowHeader:]...)
	}
	return state, nil
}

// setState writes the state of an entity.
func setState(s Store, a Address, e *Entity, state history.Payload) {
	old, pieces := e.State, e.Pieces
	switch {
	case state == nil:
		e.State, e.Pieces = 0, 0
	case old != 0 && pieces == 1 && len(state) <= rowBytes:
		setRow(s, a.stateKey(old), state) // in one piece: the row is written over
		return
	default:
		e.LastState++
		e.State = e.LastState
		e.Pieces = setRow(s, a.stateKey(e.State), state)
	}
	if old != 0 {
		deleteRow(s, a.stateKey(old), pieces)
	}
}

// EntityTurn is what [ApplyEntity] records.
type EntityTurn struct {
	// Began is the entity's clock in the run.
	Began time.Time
	// Mail are the operations that were run, each with its result in the batch.
	Mail  []*Mail
	Batch history.Batch
	// Before is the state as it was.
	Before history.Payload
}

// lastLifeID is the highest ID of a decision after which a life of an entity ends and
// the next one begins: some entities live for ever, and IDs have 31 bits.
const lastLifeID = 1 << 30

// ValidateBatch reports why what a run of so many operations did cannot be recorded.
func ValidateBatch(r *Record, operations int, b history.Batch) error {
	if len(b.Results) == 0 || len(b.Results) > operations {
		return fmt.Errorf("%w: %d results of %d operations", ErrUnsupported, len(b.Results), operations)
	}
	for _, e := range b.Decided {
		switch body := e.Body.(type) {
		case *history.EntityOperationSignaled, *history.EventSent:
		case *history.SubOrchestrationInstanceCreated:
			if !body.Detached {
				return fmt.Errorf("%w: an entity awaits a sub-orchestration", ErrUnsupported)
			}
		default:
			return fmt.Errorf("%w: %T of an entity", ErrUnsupported, body)
		}
	}
	return Validate(r, history.Episode{Decided: b.Decided})
}

// ApplyEntity records a run of operations whose batch is valid, and changes the
// record. Gone is set where nothing is left of the entity: then its rows are deleted.
func ApplyEntity(s Store, a Address, r *Record, t EntityTurn) (fx Effects, gone bool, err error) {
	unpark(s, a, r)
	r.Updated, r.Entity.Modified = t.Began, t.Began
	for i, m := range t.Mail {
		if call, ok := m.Event.Body.(*history.EntityOperationCalled); ok && call.Caller != nil {
			fx.Sent = append(fx.Sent, a.reply(r, call.Caller, t.Batch.Results[i]))
		}
		if err := consume(s, a, r, m); err != nil {
			return fx, false, err
		}
	}
	for _, e := range t.Batch.Decided {
		if err := decide(s, a, r, e, Turn{Began: t.Began}, &fx); err != nil {
			return fx, false, err
		}
		r.LastID = e.ID
	}
	if r.LastID >= lastLifeID {
		r.Execution, r.LastID = history.NextExecution(r.Execution), history.NoID
	}
	if t.Batch.State == nil || r.Entity.State == 0 || !bytes.Equal(t.Batch.State, t.Before) {
		setState(s, a, r.Entity, t.Batch.State)
	}
	return fx, writeEntity(s, a, r), nil
}

// reply tells a caller how his operation ended.
func (a Address) reply(r *Record, to *history.ParentInstance, result history.OperationResult) Letter {
	var body history.Body = &history.EntityOperationCompleted{TaskID: to.TaskID, Result: result.Result}
	if result.Failure != nil {
		body = &history.EntityOperationFailed{TaskID: to.TaskID, Failure: result.Failure}
	}
	return a.letter(r, to.Instance, to.Execution, body)
}

// LockEntity records that an entity, which nobody holds, is locked as the mail asks,
// and returns the letter that says so.
func LockEntity(s Store, a Address, r *Record, m *Mail, now time.Time) (Letter, error) {
	holder := m.Event.Body.(*history.EntityLockRequested).Holder
	if err := consume(s, a, r, m); err != nil {
		return Letter{}, err
	}
	r.Entity.LockedBy, r.Updated = holder, now
	writeEntity(s, a, r)
	return a.letter(r, holder.Instance, holder.Execution, &history.EntityLockGranted{TaskID: holder.TaskID}), nil
}

// UnlockEntity records that an entity is not locked any more by who the mail names. Gone
// is as in [ApplyEntity].
func UnlockEntity(s Store, a Address, r *Record, m *Mail, now time.Time) (gone bool, err error) {
	if err := consume(s, a, r, m); err != nil {
		return false, err
	}
	if r.Entity.IsHolder(m.Event.Body.(*history.EntityUnlockSent).Holder) {
		r.Entity.LockedBy, r.Updated = nil, now
	}
	return writeEntity(s, a, r), nil
}

// WithdrawLock records that a lock request, which may be stored, is not wanted any
// more. Gone is as in [ApplyEntity].
func WithdrawLock(s Store, a Address, r *Record, request *Mail) (gone bool, err error) {
	if err := consume(s, a, r, request); err != nil {
		return false, err
	}
	return writeEntity(s, a, r), nil
}

// writeEntity writes the record of an entity, or deletes all that is left of it where
// that is nothing.
func writeEntity(s Store, a Address, r *Record) (gone bool) {
	e := r.Entity
	gone = e.State == 0 && e.LockedBy == nil && e.Scheduled == 0 && r.Stored == 0
	if gone {
		unpark(s, a, r)
	}
	if ready := r.Stored > 0 && r.Parked.Why == NotParked; r.Ready && !ready {
		r.Ready = false
		s.Delete(a.readyKey())
	} else if ready && !r.Ready {
		r.Ready = true
		s.Set(a.readyKey(), readyValue)
	}
	if !gone {
		enlist(s, a, r)
		s.Set(a.RecordKey(), r.Encode())
		return false
	}
	if e.Listed { // otherwise it had no rows
		e.Listed = false
		s.Delete(a.entityKey())
		s.Delete(a.RecordKey())
	}
	return true
}
