package server

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/partition/leader"
)

// Asked answers for running orchestrations; see [Backend].
type Asked interface {
	// Query asks the code of an orchestration. It changes nothing.
	Query(ctx context.Context, req leader.QueryRequest) (leader.QueryAnswer, error)
}

// orchestrationService is what callers ask of running orchestrations.
type orchestrationService struct {
	reprisev1.UnimplementedOrchestrationServiceServer
	backend Asked
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
