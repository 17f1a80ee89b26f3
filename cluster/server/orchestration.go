package server

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/partition/leader"
)

// Asked answers for running orchestrations; see [Backend].
type Asked interface {
	// Query asks the code of an orchestration. It changes nothing.
	Query(ctx context.Context, req leader.QueryRequest) (leader.QueryAnswer, error)
	// Update asks the code of an orchestration to do something, and returns its reply.
	Update(ctx context.Context, req leader.UpdateRequest) (leader.UpdateReply, error)
	// Watch returns when the instance shows something else than was seen, or has ended.
	// When ctx is done, the watcher is dropped.
	Watch(ctx context.Context, req leader.WatchRequest) (leader.WatchAnswer, error)
}

// orchestrationService is what callers ask of orchestrations, beyond the Durable Task
// protocol.
type orchestrationService struct {
	reprisev1.UnimplementedOrchestrationServiceServer
	backend Asked
	starts  Started
	watches atomic.Int64 // streams to watchers that are open
}

// executePatience is how long the end of an instance is waited for in the call that
// started it: a repetition of the call comes while its start is remembered.
const executePatience = time.Minute

// ExecuteInstance starts an orchestration and waits for its end. Where the caller names
// no request, each call is one of its own. An instance that runs for longer is answered
// without a state: the caller goes on with a wait.
func (s *orchestrationService) ExecuteInstance(ctx context.Context, m *reprisev1.ExecuteInstanceRequest) (*reprisev1.ExecuteInstanceResponse, error) {
	req, err := startRequest(ctx, m.GetStart())
	if err != nil {
		return nil, err
	}
	if req.Identity.ID == "" {
		req.Identity = leader.RequestIdentity{ID: newID(), Sent: time.Now()}
	}
	patient, cancel := context.WithTimeout(ctx, executePatience)
	defer cancel()
	in, err := s.starts.Execute(patient, req)
	switch {
	case err == nil:
		return &reprisev1.ExecuteInstanceResponse{State: stateToWire(in, true)}, nil
	case patient.Err() == nil || ctx.Err() != nil:
		return nil, fmt.Errorf("execute %q: %w", req.Instance.ID, err)
	}
	// The same request again: it is answered from memory if the start was committed.
	if _, err := s.starts.StartInstance(ctx, req); err != nil {
		return nil, fmt.Errorf("execute %q: %w", req.Instance.ID, err)
	}
	return &reprisev1.ExecuteInstanceResponse{}, nil
}

// QueryInstance asks an orchestration.
func (s *orchestrationService) QueryInstance(ctx context.Context, m *reprisev1.QueryInstanceRequest) (*reprisev1.QueryInstanceResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	a, err := s.backend.Query(ctx, leader.QueryRequest{Instance: ref, Name: m.GetName(), Input: wire.Payload(m.GetInput())})
	if err != nil {
		return nil, fmt.Errorf("query %q of %q: %w", m.GetName(), ref.ID, err)
	}
	return &reprisev1.QueryInstanceResponse{Result: wire.FromPayload(a.Result), Failure: wire.FromFailure(a.Failure)}, nil
}

// UpdateInstance asks an orchestration to do something. Where the caller names no
// request, each call is one of its own.
func (s *orchestrationService) UpdateInstance(ctx context.Context, m *reprisev1.UpdateInstanceRequest) (*reprisev1.UpdateInstanceResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	who, err := identity(ctx)
	if err != nil {
		return nil, err
	}
	if who.ID == "" {
		who = leader.RequestIdentity{ID: newID(), Sent: time.Now()}
	}
	r, err := s.backend.Update(ctx, leader.UpdateRequest{Instance: ref, Name: m.GetName(), Input: wire.Payload(m.GetInput()), Identity: who})
	if err != nil {
		return nil, fmt.Errorf("update %q of %q: %w", m.GetName(), ref.ID, err)
	}
	return &reprisev1.UpdateInstanceResponse{Result: wire.FromPayload(r.Result), Failure: wire.FromFailure(r.Failure), Refused: r.Refused}, nil
}
