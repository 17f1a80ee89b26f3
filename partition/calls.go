package partition

import (
	"encoding/binary"
	"fmt"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

func validateOperation(target history.InstanceID, name string) error {
	if err := history.ValidateEntityID(target); err != nil {
		return err
	}
	return history.ValidateOperationName(name)
}

// Call is an operation of an entity whose outcome an execution awaits.
type Call struct {
	Target    history.InstanceID
	Operation string
}

// Encode returns the stored form.
func (c Call) Encode() []byte {
	p := pack.NewWriter(32+len(c.Target)+len(c.Operation), 2)
	p.String(string(c.Target))
	p.String(c.Operation)
	return p.Bytes()
}

func decodeCall(value []byte) (Call, error) {
	u := pack.NewReader(value)
	var c Call
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			c.Target = history.InstanceID(u.String())
		case 1:
			c.Operation = u.String()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() != nil {
		return c, fmt.Errorf("decode call of an entity: %w", u.Err())
	}
	return c, nil
}

func (a Address) callKey(taskID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableCalls, 4), uint32(taskID))
}

// ReadCall returns the operation that an instance's decision called, if its outcome
// is still awaited; otherwise nil.
func ReadCall(r Reader, a Address, taskID int32) (*Call, error) {
	value, err := r.Get(a.callKey(taskID))
	if err != nil || value == nil {
		return nil, err
	}
	c, err := decodeCall(value)
	return &c, err
}

// ReadCalls calls fn with the awaited operations of an instance in the order of
// their decisions until it returns false.
func ReadCalls(r Reader, a Address, fn func(taskID int32, c Call) bool) error {
	return readNumbered(r, a, TableCalls, decodeCall, fn)
}

// self names an instance's present execution to others, and one of its decisions.
func (a Address) self(r *Record, taskID int32) *history.ParentInstance {
	return &history.ParentInstance{Name: r.Name, Instance: a.ID, Execution: r.Execution, TaskID: taskID}
}

// signal is the letter of an operation of which nothing comes back.
func (a Address) signal(r *Record, b *history.EntityOperationSignaled) Letter {
	signal := *b
	signal.Target = ""
	return a.letter(r, b.Target, "", &signal)
}

// callEntity decides the call of an operation.
func callEntity(s Store, a Address, r *Record, taskID int32, b *history.EntityOperationCalled, fx *Effects) {
	s.Set(a.callKey(taskID), Call{b.Target, b.Operation}.Encode())
	r.Calls++
	call := *b
	call.Target, call.Caller = "", a.self(r, taskID)
	fx.Sent = append(fx.Sent, a.letter(r, b.Target, "", &call))
}

// removeCall deletes an awaited call's row, if it is there.
func removeCall(s Store, a Address, r *Record, taskID int32) error {
	key := a.callKey(taskID)
	value, err := s.Get(key)
	if err == nil && value != nil {
		s.Delete(key)
		r.Calls--
	}
	return err
}

// cancelCall lets a call be without a caller. The operation runs all the same, unless
// it has run.
func cancelCall(s Store, a Address, r *Record, taskID int32, rest []*Mail, fx *Effects) error {
	if err := removeCall(s, a, r, taskID); err != nil {
		return err
	}
	return drop(s, a, r, rest, fx, func(b history.Body) bool {
		switch b := b.(type) {
		case *history.EntityOperationCompleted:
			return b.TaskID == taskID
		case *history.EntityOperationFailed:
			return b.TaskID == taskID
		}
		return false
	})
}

// Flooded is the answer to a caller whose operation an entity does not take, because it
// has so many that wait, of so many bytes.
func Flooded(a Address, to *history.ParentInstance, waiting, bytes int64) Letter {
	return Letter{
		Hub: a.Hub, From: a.ID, To: to.Instance, ToExecution: to.Execution,
		Event: history.Event{ID: history.NoID, Body: &history.EntityOperationFailed{TaskID: to.TaskID, Failure: &history.Failure{
			Type: history.FailureFlooded, Message: fmt.Sprintf("entity %s has %d operations of %d bytes that wait, and takes no calls", a.ID, waiting, bytes),
		}}},
	}
}

// leaveEntities is for the end of an execution, whatever ends it: nobody awaits its
// calls any more, and its critical sections are left.
func leaveEntities(s Store, a Address, r *Record, fx *Effects) error {
	if r.Calls > 0 {
		r.Calls = 0
		from := a.key(TableCalls, 0)
		if err := deleteAll(s, from, after(from)); err != nil {
			return err
		}
	}
	if r.Sections == 0 {
		return nil
	}
	ids, err := numbers(s, a, ReadSections)
	for _, id := range ids {
		if err == nil {
			err = releaseLock(s, a, r, id, nil, fx)
		}
	}
	return err
}
