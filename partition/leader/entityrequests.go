package leader

import (
	"time"

	"github.com/reprise-run/reprise/history"
)

// SignalRequest sends an operation to an entity, of which nothing comes back. The
// entity comes into being with its first operation.
type SignalRequest struct {
	Entity    InstanceRef
	Operation string
	Input     history.Payload
	// ScheduledTime is when the entity takes the operation at the earliest; zero or
	// past is at once.
	ScheduledTime time.Time
	history.Trace
	Identity RequestIdentity
}

// EntityStatusRequest reads an entity. It is linearizable and waits for no
// operation.
type EntityStatusRequest struct {
	Entity InstanceRef
	State  bool // also its state
}

// Entity is what a status request tells of an entity.
type Entity struct {
	Ref InstanceRef
	// Exists is false where the entity has no state.
	Exists   bool
	Modified time.Time // when its last run was recorded
	// Backlog counts the operations and lock requests that wait.
	Backlog int
	// LockedBy is the instance in whose critical section the entity is; empty: none.
	LockedBy history.InstanceID
	State    history.Payload // only where it was asked for
}

// EntitiesRequest lists entities of one partition, in the order of their IDs.
type EntitiesRequest struct {
	Partition uint32
	Hub       history.TaskHub
	Prefix    history.InstanceID // of their IDs; empty: all
	After     history.InstanceID // where the page before ended; empty: the first page
	Limit     int                // entities of a page; a page may be shorter
	State     bool               // also their states
	Transient bool               // also those that have no state
	// Those that were modified at or after From and before To; zero: no bound.
	From, To time.Time
}

// EntitiesPage is a page of a list of entities.
type EntitiesPage struct {
	Entities []Entity
	Next     history.InstanceID // what After is for the next page; empty at the end
}
