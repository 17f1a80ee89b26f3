package client

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"

	reprise "github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Signal asks an entity for an operation. It returns when that is committed, before the
// operation runs; the operation runs exactly once. See [Client.SignalEntity] for the
// errors.
func Signal[State, In, Out any](ctx context.Context, c *Client, e reprise.EntityRef[State], p reprise.Operation[State, In, Out], input In, opts ...SignalOption) error {
	payload, err := c.encode(fmt.Sprintf("input of operation %q", p.Name()), input)
	if err != nil {
		return err
	}
	return c.SignalEntity(ctx, e.ID(), p.Name(), payload, opts...)
}

// ReadEntity returns the state of an entity as it was committed last, and whether it has
// one. It is linearizable, and waits for no operation: one that was signaled before may
// not have run yet.
func ReadEntity[State any](ctx context.Context, c *Client, e reprise.EntityRef[State]) (state State, exists bool, err error) {
	got, err := c.Entity(ctx, e.ID())
	if err != nil || !got.Exists {
		return state, false, err
	}
	state, err = reprise.DecodePayload[State](c.config.codec, fmt.Sprintf("state of entity %q", e.ID()), got.State)
	return state, true, err
}

// SignalOption sets something of a signal.
type SignalOption func(*durabletask.SignalEntityRequest)

// WithSignalAt lets the entity take the signal at t, by the clock of its partition, and
// not before.
func WithSignalAt(t time.Time) SignalOption {
	return func(r *durabletask.SignalEntityRequest) { r.ScheduledTime = wire.FromTime(t) }
}

// WithSignalTrace makes the operation a part of a trace. One that is not valid is none.
func WithSignalTrace(t history.Trace) SignalOption {
	return func(r *durabletask.SignalEntityRequest) { r.ParentTraceContext = wire.FromTrace(t) }
}

// SignalEntity asks an entity for an operation by its name. A nil input is absent.
// Errors: [ErrFull] where too many operations wait for the entity; those of all requests.
func (c *Client) SignalEntity(ctx context.Context, id history.InstanceID, operation string, input history.Payload, opts ...SignalOption) error {
	what := c.changes(id, "signal", "signal %q to %q", operation, id)
	what.info.Name = operation
	if err := history.ValidateEntityID(id); err != nil {
		return fmt.Errorf("signal: %w: %w", ErrInvalid, err)
	}
	req := &durabletask.SignalEntityRequest{
		InstanceId: string(id), Name: operation, Input: wire.FromPayload(input), RequestTime: wire.FromTime(c.config.now()),
	}
	for _, opt := range opts {
		opt(req)
	}
	what.info.Trace = wire.Trace(req.GetParentTraceContext())
	return c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		req.ParentTraceContext = wire.FromTrace(what.info.Trace.Clean()) // it may be an interceptor's
		_, err := durabletask.NewTaskHubSidecarServiceClient(conn).SignalEntity(ctx, req, opts...)
		return err
	})
}

// Entity is what the cluster tells about an entity.
type Entity struct {
	ID history.InstanceID
	// Exists is false where the entity has no state.
	Exists   bool
	Modified time.Time // when its last operations were recorded
	// Backlog counts the operations and lock requests that wait for it.
	Backlog int
	// LockedBy is the orchestration in whose critical section it is; empty: none.
	LockedBy history.InstanceID
	State    history.Payload
}

// Entity reads an entity with its state. The read is linearizable. An entity that nobody
// has used is no error: it does not exist.
func (c *Client) Entity(ctx context.Context, id history.InstanceID) (Entity, error) {
	if err := history.ValidateEntityID(id); err != nil {
		return Entity{}, fmt.Errorf("read entity: %w: %w", ErrInvalid, err)
	}
	what := c.reads(id, "read", "read entity %q", id)
	req := &durabletask.GetEntityRequest{InstanceId: string(id), IncludeState: true}
	m, err := ask(ctx, c, what, durabletask.NewTaskHubSidecarServiceClient, durabletask.TaskHubSidecarServiceClient.GetEntity, req)
	if err != nil {
		return Entity{}, err
	}
	e := entityFromWire(m.GetEntity())
	e.ID, e.Exists = id, m.GetExists()
	return e, nil
}

func entityFromWire(m *durabletask.EntityMetadata) Entity {
	return Entity{
		ID: history.InstanceID(m.GetInstanceId()), Modified: wire.Time(m.GetLastModifiedTime()), Backlog: int(m.GetBacklogQueueSize()),
		LockedBy: history.InstanceID(m.GetLockedBy().GetValue()), State: wire.Payload(m.GetSerializedState()),
	}
}

// EntitiesOption narrows a list of entities.
type EntitiesOption func(*durabletask.EntityQuery)

// WithEntityPrefix lists the entities whose IDs begin like this: "@account@eu-". The
// prefix "@account" also lists those of the name "accounting", "@account@" does not.
func WithEntityPrefix(prefix history.InstanceID) EntitiesOption {
	return func(q *durabletask.EntityQuery) { q.InstanceIdStartsWith = wire.FromText(string(prefix)) }
}

// WithModified lists the entities that were modified at or after from and before to; a
// zero time is no bound.
func WithModified(from, to time.Time) EntitiesOption {
	return func(q *durabletask.EntityQuery) {
		q.LastModifiedFrom, q.LastModifiedTo = wire.FromTime(from), wire.FromTime(to)
	}
}

// WithStates also reads the states.
func WithStates() EntitiesOption {
	return func(q *durabletask.EntityQuery) { q.IncludeState = true }
}

// Entities yields the entities that have a state, partition by partition and there by ID.
// It is no snapshot: each partition is read when it is reached, and there what was
// committed before is seen. An error ends it. States are read with [WithStates].
func (c *Client) Entities(ctx context.Context, opts ...EntitiesOption) iter.Seq2[Entity, error] {
	return func(yield func(Entity, error) bool) {
		q := &durabletask.EntityQuery{}
		for _, opt := range opts {
			opt(q)
		}
		for {
			what := call{what: "list entities", info: &Call{Operation: "list", TaskHub: c.config.hub}}
			m, err := ask(ctx, c, what, durabletask.NewTaskHubSidecarServiceClient, durabletask.TaskHubSidecarServiceClient.QueryEntities, &durabletask.QueryEntitiesRequest{Query: q})
			if err != nil {
				yield(Entity{}, err)
				return
			}
			for _, one := range m.GetEntities() {
				e := entityFromWire(one)
				e.Exists = true
				if !yield(e, nil) {
					return
				}
			}
			if m.GetContinuationToken().GetValue() == "" {
				return
			}
			q.ContinuationToken = wrapperspb.String(m.GetContinuationToken().GetValue())
		}
	}
}

// EntityOf is an entity with its state.
type EntityOf[State any] struct {
	Ref      reprise.EntityRef[State]
	State    State
	Modified time.Time
	LockedBy history.InstanceID
}

// Entities yields the entities of a name that have a state, with their states; see
// [Client.Entities]. [WithEntityPrefix] narrows it to IDs of that name.
func Entities[State any](ctx context.Context, c *Client, of reprise.Entity[State], opts ...EntitiesOption) iter.Seq2[EntityOf[State], error] {
	all := of.Key("").ID()
	narrow := func(q *durabletask.EntityQuery) {
		if prefix := q.GetInstanceIdStartsWith().GetValue(); !strings.HasPrefix(prefix, string(all)) {
			q.InstanceIdStartsWith = wrapperspb.String(string(all))
		}
	}
	return func(yield func(EntityOf[State], error) bool) {
		for e, err := range c.Entities(ctx, append(slices.Clone(opts), narrow, WithStates())...) {
			one := EntityOf[State]{Modified: e.Modified, LockedBy: e.LockedBy}
			if err == nil {
				_, key := e.ID.Entity()
				one.Ref = of.Key(key)
				one.State, err = reprise.DecodePayload[State](c.config.codec, fmt.Sprintf("state of entity %q", e.ID), e.State)
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}
