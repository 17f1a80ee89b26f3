package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// activityService takes the outcomes of activities that are completed from outside.
type activityService struct {
	reprisev1.UnimplementedActivityServiceServer
	backend Backend
}

// CompleteActivity gives an activity its result.
func (s *activityService) CompleteActivity(ctx context.Context, m *reprisev1.CompleteActivityRequest) (*reprisev1.CompleteActivityResponse, error) {
	err := s.complete(ctx, m.GetToken(), leader.CompleteRequest{Result: wire.Payload(m.GetResult())})
	return &reprisev1.CompleteActivityResponse{}, err
}

// FailActivity fails an attempt of an activity.
func (s *activityService) FailActivity(ctx context.Context, m *reprisev1.FailActivityRequest) (*reprisev1.FailActivityResponse, error) {
	f := wire.Failure(m.GetFailure())
	if f == nil {
		return nil, fmt.Errorf("%w: fail an activity: no failure is given", leader.ErrInvalid)
	}
	return &reprisev1.FailActivityResponse{}, s.complete(ctx, m.GetToken(), leader.CompleteRequest{Failure: f})
}

func (s *activityService) complete(ctx context.Context, token string, req leader.CompleteRequest) (err error) {
	if req.Token, err = parseToken(token); err != nil {
		return err
	}
	if req.Identity, err = identity(ctx); err != nil {
		return err
	}
	if err := s.backend.CompleteActivity(ctx, req); err != nil {
		return ofToken(req.Token, err)
	}
	return nil
}

// HeartbeatActivity says that an attempt lives.
func (s *activityService) HeartbeatActivity(ctx context.Context, m *reprisev1.HeartbeatActivityRequest) (*reprisev1.HeartbeatActivityResponse, error) {
	token, err := parseToken(m.GetToken())
	if err != nil {
		return nil, err
	}
	if err := s.backend.HeartbeatActivity(ctx, leader.HeartbeatRequest{Token: token, Progress: wire.Payload(m.GetProgress())}); err != nil {
		return nil, ofToken(token, err)
	}
	return &reprisev1.HeartbeatActivityResponse{}, nil
}

func parseToken(text string) (history.AttemptToken, error) {
	token, err := history.ParseAttemptToken(text)
	if err != nil {
		return token, fmt.Errorf("%w: %w", leader.ErrInvalid, err)
	}
	return token, nil
}

// ofToken tells which attempt an error is about.
func ofToken(t history.AttemptToken, err error) error {
	if errors.Is(err, leader.ErrStale) {
		return fmt.Errorf("activity %d of %q: %w: the activity has an outcome or a newer attempt, or is not wanted any more", t.TaskID, t.Instance, err)
	}
	return fmt.Errorf("activity %d of %q: %w", t.TaskID, t.Instance, err)
}
