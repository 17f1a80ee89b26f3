package server

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/partition/leader"
)

// cancelService asks orchestrations to end.
type cancelService struct {
	reprisev1.UnimplementedCancelServiceServer
	backend Backend
}

// CancelInstance asks the orchestrator of an instance to end.
func (s *cancelService) CancelInstance(ctx context.Context, m *reprisev1.CancelInstanceRequest) (*reprisev1.CancelInstanceResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	who, err := identity(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.backend.Cancel(ctx, leader.CancelRequest{Instance: ref, Reason: m.GetReason(), Identity: who}); err != nil {
		return nil, fmt.Errorf("cancel %q: %w", ref.ID, err)
	}
	return &reprisev1.CancelInstanceResponse{}, nil
}
