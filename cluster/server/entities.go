package server

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// EntityBackend is the part of a [Backend] that is about entities.
type EntityBackend interface {
	// Signal returns when the operation is committed.
	Signal(ctx context.Context, req leader.SignalRequest) error
	// Entity is a linearizable read; an entity that nobody has used is no error.
	Entity(ctx context.Context, req leader.EntityStatusRequest) (leader.Entity, error)
	// Entities reads a page of a list over all partitions.
	Entities(ctx context.Context, q cluster.EntitiesQuery) (cluster.EntitiesList, error)
}

// SignalEntity asks an entity for an operation; that is durable when the call returns.
func (s *taskHubService) SignalEntity(ctx context.Context, m *durabletask.SignalEntityRequest) (*emptypb.Empty, error) {
	ref, err := entityRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	who, err := identity(ctx)
	if err != nil {
		return nil, err
	}
	req := leader.SignalRequest{
		Entity: ref, Operation: m.GetName(), Input: wire.Payload(m.GetInput()),
		Trace: wire.Trace(m.GetParentTraceContext()), Identity: who,
	}
	if t := m.GetScheduledTime(); t != nil && t.AsTime().After(time.Unix(0, 0)) {
		req.ScheduledTime = t.AsTime()
	}
	if err := s.backend.Signal(ctx, req); err != nil {
		return nil, fmt.Errorf("signal %q to %q: %w", req.Operation, ref.ID, err)
	}
	return &emptypb.Empty{}, nil
}

// GetEntity reads an entity. One without a state does not exist; what else is known of it
// is told all the same.
func (s *taskHubService) GetEntity(ctx context.Context, m *durabletask.GetEntityRequest) (*durabletask.GetEntityResponse, error) {
	ref, err := entityRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	e, err := s.backend.Entity(ctx, leader.EntityStatusRequest{Entity: ref, State: m.GetIncludeState()})
	if err != nil {
		return nil, fmt.Errorf("read entity %q: %w", ref.ID, err)
	}
	return &durabletask.GetEntityResponse{Exists: e.Exists, Entity: entityToWire(e)}, nil
}

// QueryEntities lists entities, a page at a time.
func (s *taskHubService) QueryEntities(ctx context.Context, m *durabletask.QueryEntitiesRequest) (*durabletask.QueryEntitiesResponse, error) {
	hub, err := taskHub(ctx)
	if err != nil {
		return nil, err
	}
	q := m.GetQuery()
	list, err := s.backend.Entities(ctx, cluster.EntitiesQuery{
		Hub: hub, Prefix: entityPrefix(q.GetInstanceIdStartsWith().GetValue()),
		From: wire.Time(q.GetLastModifiedFrom()), To: wire.Time(q.GetLastModifiedTo()),
		State: q.GetIncludeState(), Transient: q.GetIncludeTransient(),
		Limit: int(q.GetPageSize().GetValue()), Token: q.GetContinuationToken().GetValue(),
	})
	if err != nil {
		return nil, err
	}
	answer := &durabletask.QueryEntitiesResponse{ContinuationToken: wire.FromText(list.Token)}
	for _, e := range list.Entities {
		answer.Entities = append(answer.Entities, entityToWire(e))
	}
	return answer, nil
}

// CleanEntityStorage finds nothing to do: an entity without state, lock and operations
// leaves nothing behind, and a lock is released with the end of who holds it.
func (s *taskHubService) CleanEntityStorage(context.Context, *durabletask.CleanEntityStorageRequest) (*durabletask.CleanEntityStorageResponse, error) {
	return &durabletask.CleanEntityStorageResponse{}, nil
}

func entityToWire(e leader.Entity) *durabletask.EntityMetadata {
	return &durabletask.EntityMetadata{
		InstanceId: string(e.Ref.ID), LastModifiedTime: wire.FromTime(e.Modified), BacklogQueueSize: int32(e.Backlog),
		LockedBy: wire.FromText(string(e.LockedBy)), SerializedState: wire.FromPayload(e.State),
	}
}

// entityRef names the entity of a call. Names are in lower case, whatever the caller
// wrote.
func entityRef(ctx context.Context, id string) (leader.InstanceRef, error) {
	hub, err := taskHub(ctx)
	if err != nil {
		return leader.InstanceRef{}, err
	}
	ref := leader.InstanceRef{Hub: hub, ID: history.InstanceID(id)}
	if strings.HasPrefix(id, "@") && strings.Count(id, "@") >= 2 {
		ref.ID = entityPrefix(id)
	}
	return ref, history.ValidateEntityID(ref.ID)
}

// entityPrefix returns how the IDs begin that a caller means: the @ at the beginning may
// be missing, and the name be in any case.
func entityPrefix(text string) history.InstanceID {
	if text == "" {
		return ""
	}
	name, key, hasKey := strings.Cut(strings.TrimPrefix(text, "@"), "@")
	if !hasKey {
		return history.InstanceID("@" + strings.ToLower(name))
	}
	return history.EntityID(name, key)
}
