package history

import (
	"fmt"
	"strings"
	"time"
)

// An entity is an instance whose ID is "@name@key". Its name says which operations
// it has; names compare without regard to case and stand in lower case in the ID. The
// key may hold any character that an instance ID may, also @.

// Kinds of events of entities. Where the same body is a decision of a sender and
// arrives at a receiver, the arrival has no ID.
const (
	KindEntityOperationSignaled  Kind = 23
	KindEntityOperationCalled    Kind = 24
	KindEntityOperationCompleted Kind = 25
	KindEntityOperationFailed    Kind = 26
	KindEntityLockRequested      Kind = 27
	KindEntityLockGranted        Kind = 28
	KindEntityUnlockSent         Kind = 29
	// Our own.
	KindEntityOperationCanceled Kind = 73
)

type (
	// EntityOperationSignaled decides that an entity is to run an operation, of which
	// nothing comes back; it arrives at the entity.
	EntityOperationSignaled struct {
		Target    InstanceID // empty at the entity itself
		Operation string
		Input     Payload
		// ScheduledTime is when the entity takes the operation at the earliest; zero is
		// at once.
		ScheduledTime time.Time
		Trace         Trace
	}

	// EntityOperationCalled decides that an entity is to run an operation whose outcome
	// is awaited; it arrives at the entity.
	EntityOperationCalled struct {
		Target    InstanceID // empty at the entity itself
		Operation string
		Input     Payload
		// Section is the ID of the caller's EntityLockRequested decision, where the call
		// is made in that critical section; otherwise [NoID].
		Section int32
		Trace   Trace
		// Caller is set at the entity: who awaits the outcome, and as which decision.
		Caller *ParentInstance
	}

	// EntityOperationCompleted arrives when a called operation returned a result.
	EntityOperationCompleted struct {
		TaskID int32
		Result Payload
	}

	// EntityOperationFailed arrives when a called operation failed.
	EntityOperationFailed struct {
		TaskID  int32
		Failure *Failure
	}

	// EntityOperationCanceled decides that the outcome of a called operation is not
	// wanted any more. The operation may run all the same.
	EntityOperationCanceled struct{ TaskID int32 }

	// EntityLockRequested decides that a critical section over entities is to be
	// entered; it arrives at one entity after the other.
	EntityLockRequested struct {
		// LockSet are the entities, sorted by their bytes, each once. At an entity it
		// is empty.
		LockSet []InstanceID
		// Holder is set at the entity: who wants the lock, and by which decision.
		Holder *ParentInstance
	}

	// EntityLockGranted arrives at an entity's would-be holder's partition when that
	// entity is locked, and at the holder when all entities of the section are.
	EntityLockGranted struct{ TaskID int32 }

	// EntityUnlockSent decides that a critical section is left, or not wanted any
	// more; it arrives at every entity that was asked.
	EntityUnlockSent struct {
		TaskID int32 // of the EntityLockRequested decision
		// Holder is set at the entity: who held the lock, or had asked for it.
		Holder *ParentInstance
	}
)

// Kind implements Body.
func (*EntityOperationSignaled) Kind() Kind  { return KindEntityOperationSignaled }
func (*EntityOperationCalled) Kind() Kind    { return KindEntityOperationCalled }
func (*EntityOperationCompleted) Kind() Kind { return KindEntityOperationCompleted }
func (*EntityOperationFailed) Kind() Kind    { return KindEntityOperationFailed }
func (*EntityOperationCanceled) Kind() Kind  { return KindEntityOperationCanceled }
func (*EntityLockRequested) Kind() Kind      { return KindEntityLockRequested }
func (*EntityLockGranted) Kind() Kind        { return KindEntityLockGranted }
func (*EntityUnlockSent) Kind() Kind         { return KindEntityUnlockSent }

// Batch is what one run over the operations of an entity did.
type Batch struct {
	// Results say how the operations ended, in their order. Where there are fewer than
	// operations, the others were not run.
	Results []OperationResult
	// State is what the entity is after them; nil where it has no state: it does not
	// exist (any more).
	State Payload
	// Decided holds what the operations that succeeded sent, in order, with the
	// entity's own sequence numbers: *[EntityOperationSignaled], *[EventSent], and
	// *[SubOrchestrationInstanceCreated] that are detached.
	Decided []Event
}

// OperationResult is how an operation ended; Failure is nil if it succeeded.
type OperationResult struct {
	Result  Payload
	Failure *Failure
}

// EntityID returns the instance ID of an entity.
func EntityID(name, key string) InstanceID {
	return InstanceID("@" + strings.ToLower(name) + "@" + key)
}

// IsEntity reports whether an instance ID is that of an entity.
func (id InstanceID) IsEntity() bool { return strings.HasPrefix(string(id), "@") }

// Entity returns name and key of an entity's ID; both are empty for other IDs.
func (id InstanceID) Entity() (name, key string) {
	if !id.IsEntity() {
		return "", ""
	}
	name, key, _ = strings.Cut(string(id[1:]), "@")
	return name, key
}

// MaxEntityIDBytes is the longest ID of an entity, in bytes: what the Durable Task
// SDKs expect of a server.
const MaxEntityIDBytes = 100

// ValidateEntityID reports why id cannot name an entity. The error is an
// *[InvalidIDError].
func ValidateEntityID(id InstanceID) error {
	name, _ := id.Entity()
	switch {
	case !id.IsEntity() || !strings.Contains(string(id[1:]), "@"):
		return &InvalidIDError{"entity ID", string(id), `is not of the form "@name@key"`}
	case name == "":
		return &InvalidIDError{"entity ID", string(id), "has no name between the two @"}
	case name != strings.ToLower(name):
		return &InvalidIDError{"entity ID", string(id), "has a name that is not in lower case"}
	case len(id) > MaxEntityIDBytes:
		return &InvalidIDError{"entity ID", string(id), fmt.Sprintf("has a length of %d bytes; at most %d are allowed", len(id), MaxEntityIDBytes)}
	}
	return validateName("entity ID", string(id), MaxEntityIDBytes)
}
