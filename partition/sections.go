package partition

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/pack"
)

// MaxLockSet is how many entities one critical section may lock.
const MaxLockSet = 256

// Section is a critical section that an execution waits for, or is in. Its entities
// are locked one after the other, in the order of the bytes of their IDs, so that no
// two sections ever wait for each other.
type Section struct {
	LockSet []history.InstanceID
	// Acquired is how many of them are locked. The next one was asked.
	Acquired int
	// Entered is set once all are, and the execution has that as mail.
	Entered bool
}

// Encode returns the stored form.
func (c *Section) Encode() []byte {
	p := pack.NewWriter(16+64*len(c.LockSet), 3)
	p.Array(len(c.LockSet))
	for _, id := range c.LockSet {
		p.String(string(id))
	}
	p.Int(int64(c.Acquired))
	p.Bool(c.Entered)
	return p.Bytes()
}

func decodeSection(value []byte) (*Section, error) {
	u := pack.NewReader(value)
	c := &Section{}
	for i := 0; u.Next(); i++ {
		switch i {
		case 0:
			for n := u.Array(); n > 0 && u.Err() == nil; n-- {
				c.LockSet = append(c.LockSet, history.InstanceID(u.String()))
			}
		case 1:
			c.Acquired = int(u.Int())
		case 2:
			c.Entered = u.Bool()
		default:
			u.Skip() // of a newer writer
		}
	}
	if u.Err() == nil && (c.Acquired < 0 || c.Acquired > len(c.LockSet) || c.Entered != (c.Acquired == len(c.LockSet))) {
		u.Fail("odd number of locks")
	}
	if u.Err() != nil {
		return nil, fmt.Errorf("decode critical section: %w", u.Err())
	}
	return c, nil
}

func (a Address) sectionKey(taskID int32) []byte {
	return binary.BigEndian.AppendUint32(a.key(TableLocks, 4), uint32(taskID))
}

// ReadSection returns the critical section that an instance's decision asked for, if
// it was not left; otherwise nil.
func ReadSection(r Reader, a Address, taskID int32) (*Section, error) {
	value, err := r.Get(a.sectionKey(taskID))
	if err != nil || value == nil {
		return nil, err
	}
	return decodeSection(value)
}

// ReadSections calls fn with the critical sections of an instance in the order of
// their decisions until it returns false.
func ReadSections(r Reader, a Address, fn func(taskID int32, c *Section) bool) error {
	return readNumbered(r, a, TableLocks, decodeSection, fn)
}

// validateLockSet reports why a critical section over these entities cannot be
// entered: the order of a lock set is what keeps sections from waiting for each other.
func validateLockSet(set []history.InstanceID) error {
	if len(set) == 0 || len(set) > MaxLockSet {
		return fmt.Errorf("a critical section over %d entities; 1 to %d are allowed", len(set), MaxLockSet)
	}
	for i, id := range set {
		if err := history.ValidateEntityID(id); err != nil {
			return err
		}
		if i > 0 && set[i-1] >= id {
			return fmt.Errorf("the lock set of a critical section is not sorted: %q comes before %q", set[i-1], id)
		}
	}
	return nil
}

// ValidateSections reports why the decisions of a valid episode cannot be recorded
// for the sake of critical sections: they do not nest, and inside one only its own
// entities are called. mail is what the episode took.
func ValidateSections(s Reader, a Address, r *Record, mail []*Mail, ep history.Episode) error {
	concerned := func(e history.Event) bool {
		switch b := e.Body.(type) {
		case *history.EntityLockRequested:
			return true
		case *history.EntityOperationCalled:
			return b.Section != history.NoID
		}
		return false
	}
	if !slices.ContainsFunc(ep.Decided, concerned) {
		return nil
	}
	open := make(map[int32]*Section)
	if r.Sections > 0 {
		err := ReadSections(s, a, func(taskID int32, c *Section) bool {
			open[taskID] = c
			return true
		})
		if err != nil {
			return err
		}
	}
	for _, m := range mail {
		if b, ok := m.Event.Body.(*history.EntityLockGranted); ok && open[b.TaskID] != nil {
			open[b.TaskID].Entered = true
		}
	}
	for _, e := range ep.Decided {
		switch b := e.Body.(type) {
		case *history.EntityLockRequested:
			if len(open) > 0 {
				return fmt.Errorf("%w: a critical section inside another one (decision %d)", ErrUnsupported, e.ID)
			}
			open[e.ID] = &Section{LockSet: b.LockSet}
		case *history.EntityUnlockSent:
			delete(open, b.TaskID)
		case *history.EntityOperationCalled:
			if b.Section == history.NoID {
				continue
			}
			c := open[b.Section]
			if c == nil || !c.Entered || !slices.Contains(c.LockSet, b.Target) {
				return fmt.Errorf("%w: entity %q is called in critical section %d, which does not hold it (decision %d)", ErrUnsupported, b.Target, b.Section, e.ID)
			}
		}
	}
	return nil
}

// requestLock decides that a critical section is to be entered, and asks its first
// entity.
func requestLock(s Store, a Address, r *Record, taskID int32, b *history.EntityLockRequested, fx *Effects) {
	s.Set(a.sectionKey(taskID), (&Section{LockSet: b.LockSet}).Encode())
	r.Sections++
	fx.Sent = append(fx.Sent, a.lockLetter(r, b.LockSet[0], taskID))
}

func (a Address) lockLetter(r *Record, entity history.InstanceID, taskID int32) Letter {
	return a.letter(r, entity, "", &history.EntityLockRequested{Holder: a.self(r, taskID)})
}

// Acquire notes that an entity of a section is locked that is not the last one, and
// returns the letter that asks the next one.
func Acquire(s Store, a Address, r *Record, taskID int32, c *Section) Letter {
	c.Acquired++
	s.Set(a.sectionKey(taskID), c.Encode())
	return a.lockLetter(r, c.LockSet[c.Acquired], taskID)
}

// enterSection notes that the execution has the grant of a section's last entity.
func enterSection(s Store, a Address, taskID int32) error {
	c, err := ReadSection(s, a, taskID)
	if err == nil && c != nil && !c.Entered {
		c.Acquired, c.Entered = len(c.LockSet), true
		s.Set(a.sectionKey(taskID), c.Encode())
	}
	return err
}

// releaseLock leaves a section, or gives it up: every entity that was asked is told.
// That letter follows the request in the same lane, so no entity can hear of the
// release first.
func releaseLock(s Store, a Address, r *Record, taskID int32, rest []*Mail, fx *Effects) error {
	c, err := ReadSection(s, a, taskID)
	if err != nil || c == nil {
		return err
	}
	s.Delete(a.sectionKey(taskID))
	r.Sections--
	for _, id := range c.LockSet[:min(c.Acquired+1, len(c.LockSet))] {
		fx.Sent = append(fx.Sent, a.letter(r, id, "", &history.EntityUnlockSent{TaskID: taskID, Holder: a.self(r, taskID)}))
	}
	return drop(s, a, r, rest, fx, func(b history.Body) bool {
		granted, ok := b.(*history.EntityLockGranted)
		return ok && granted.TaskID == taskID
	})
}

// Unwanted returns the release that answers a grant which finds no section waiting.
func Unwanted(grant *Letter, taskID int32) Letter {
	return Letter{
		Hub: grant.Hub, From: grant.To, FromExecution: grant.ToExecution, To: grant.From,
		Event: history.Event{ID: history.NoID, Time: grant.Event.Time, Body: &history.EntityUnlockSent{
			TaskID: taskID,
			Holder: &history.ParentInstance{Instance: grant.To, Execution: grant.ToExecution, TaskID: taskID},
		}},
	}
}
