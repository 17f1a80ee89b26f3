package reprise

import (
	"strings"

	"github.com/reprise-run/reprise/history"
)

// Entity is the contract of an entity: its durable name and the type of its state. An
// entity is a piece of state with an address. Only its own operations read and change
// it, one at a time and in one order, whoever asks for them and from wherever:
//
//	var (
//		Account  = reprise.NewEntity[Acct]("account")
//		Withdraw = reprise.NewOperation[Money, Balance](Account, "withdraw")
//	)
//
// There are as many entities of a name as keys are used; [Entity.Key] is the address of
// one. It comes into being with the first operation that succeeds, and its state is the
// zero value until then.
type Entity[State any] struct{ name string }

// NewEntity returns a descriptor. Names compare without regard to case and have no @.
func NewEntity[State any](name string) Entity[State] { return Entity[State]{name} }

// Name returns the durable name.
func (e Entity[State]) Name() string { return e.name }

// Key returns the address of the entity with this key. Keys compare by their bytes; one
// may be empty, say where there is only one entity of the name. What is wrong with a key
// is told by what uses the address.
func (e Entity[State]) Key(key string) EntityRef[State] {
	if strings.Contains(e.name, "@") {
		return EntityRef[State]{history.InstanceID(e.name)} // no ID of an entity, and refused as such
	}
	return EntityRef[State]{history.EntityID(e.name, key)}
}

// EntityRef is the address of one entity. It can be compared, and kept in inputs and in
// states, where it is the text of its ID.
type EntityRef[State any] struct{ id history.InstanceID }

// ID returns the entity's ID in its task hub, "@name@key".
func (r EntityRef[State]) ID() history.InstanceID { return r.id }

// Key returns the entity's key.
func (r EntityRef[State]) Key() string {
	_, key := r.id.Entity()
	return key
}

// String returns the ID as text.
func (r EntityRef[State]) String() string { return string(r.id) }

// MarshalText implements encoding.TextMarshaler.
func (r EntityRef[State]) MarshalText() ([]byte, error) { return []byte(r.id), nil }

// UnmarshalText implements encoding.TextUnmarshaler. No text is the zero value.
func (r *EntityRef[State]) UnmarshalText(text []byte) error {
	id := history.InstanceID(text)
	if id != "" {
		if err := history.ValidateEntityID(id); err != nil {
			return err
		}
	}
	r.id = id
	return nil
}

func (EntityRef[State]) entity() {}

// EntityReference is the address of an entity of any type, for [Lock]: an [EntityRef].
type EntityReference interface {
	ID() history.InstanceID
	entity()
}
