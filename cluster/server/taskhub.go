package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// taskHubService is the client side of the Durable Task protocol. What is not
// here answers UNIMPLEMENTED.
type taskHubService struct {
	durabletask.UnimplementedTaskHubSidecarServiceServer
	backend Backend
}

// Hello says that the node serves.
func (s *taskHubService) Hello(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	return &emptypb.Empty{}, nil
}

// StartInstance starts an orchestration. Callers of other SDKs send no request
// identity, an epoch start time for "now", and an empty text for "no input".
func (s *taskHubService) StartInstance(ctx context.Context, m *durabletask.CreateInstanceRequest) (*durabletask.CreateInstanceResponse, error) {
	req, err := startRequest(ctx, m)
	if err != nil {
		return nil, err
	}
	if _, err := s.backend.StartInstance(ctx, req); err != nil {
		return nil, fmt.Errorf("start %q: %w", req.Instance.ID, err)
	}
	return &durabletask.CreateInstanceResponse{InstanceId: string(req.Instance.ID)}, nil
}

// startRequest reads a start from the wire.
func startRequest(ctx context.Context, m *durabletask.CreateInstanceRequest) (req leader.StartRequest, err error) {
	id := m.GetInstanceId()
	if id == "" {
		id = newID()
	}
	ref, err := instanceRef(ctx, id)
	if err != nil {
		return req, err
	}
	if m.GetName() == "" {
		return req, fmt.Errorf("%w: start %q: no orchestration name", leader.ErrInvalid, id)
	}
	reuse, err := reusePolicy(m.GetOrchestrationIdReusePolicy())
	if err != nil {
		return req, err
	}
	who, err := identity(ctx)
	if err != nil {
		return req, err
	}
	req = leader.StartRequest{
		Instance:  ref,
		Execution: history.ExecutionID(newID()),
		Name:      m.GetName(),
		Version:   m.GetVersion().GetValue(),
		Input:     wire.Payload(m.GetInput()),
		Reuse:     reuse,
		Tags:      m.GetTags(),
		Trace:     wire.Trace(m.GetParentTraceContext()),
		Identity:  who,
	}
	if d := m.GetTimeout(); d != nil {
		req.Timeout = d.AsDuration()
	}
	if t := m.GetScheduledStartTimestamp(); t != nil && t.AsTime().After(time.Unix(0, 0)) {
		req.ScheduledStart = t.AsTime()
	}
	return req, nil
}

// GetInstance reads an instance; an unknown one is no error.
func (s *taskHubService) GetInstance(ctx context.Context, m *durabletask.GetInstanceRequest) (*durabletask.GetInstanceResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	in, err := s.backend.Status(ctx, leader.StatusRequest{Instance: ref, Payloads: m.GetGetInputsAndOutputs()})
	return instanceResponse(in, m.GetGetInputsAndOutputs(), err)
}

// WaitForInstanceStart waits until an instance is not Pending.
func (s *taskHubService) WaitForInstanceStart(ctx context.Context, m *durabletask.GetInstanceRequest) (*durabletask.GetInstanceResponse, error) {
	return s.wait(ctx, m, false)
}

// WaitForInstanceCompletion waits until an instance has ended.
func (s *taskHubService) WaitForInstanceCompletion(ctx context.Context, m *durabletask.GetInstanceRequest) (*durabletask.GetInstanceResponse, error) {
	return s.wait(ctx, m, true)
}

func (s *taskHubService) wait(ctx context.Context, m *durabletask.GetInstanceRequest, ended bool) (*durabletask.GetInstanceResponse, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	in, err := s.backend.Wait(ctx, leader.WaitRequest{Instance: ref, Ended: ended, Payloads: m.GetGetInputsAndOutputs()})
	return instanceResponse(in, m.GetGetInputsAndOutputs(), err)
}

func instanceResponse(in leader.Instance, payloads bool, err error) (*durabletask.GetInstanceResponse, error) {
	switch {
	case errors.Is(err, leader.ErrNotFound):
		return &durabletask.GetInstanceResponse{}, nil
	case err != nil:
		return nil, err
	}
	return &durabletask.GetInstanceResponse{Exists: true, OrchestrationState: stateToWire(in, payloads)}, nil
}

// TerminateInstance ends an instance; the given value becomes its output.
func (s *taskHubService) TerminateInstance(ctx context.Context, m *durabletask.TerminateRequest) (*emptypb.Empty, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	who, err := identity(ctx)
	if err != nil {
		return nil, err
	}
	req := leader.TerminateRequest{Instance: ref, Reason: wire.Payload(m.GetOutput()), Recurse: m.GetRecursive(), Identity: who}
	if err := s.backend.Terminate(ctx, req); err != nil {
		return nil, fmt.Errorf("terminate %q: %w", ref.ID, err)
	}
	return &emptypb.Empty{}, nil
}

// RaiseEvent raises an external event; it is durable when the call returns. An
// instance that has ended drops it.
func (s *taskHubService) RaiseEvent(ctx context.Context, m *durabletask.RaiseEventRequest) (*emptypb.Empty, error) {
	ref, err := instanceRef(ctx, m.GetInstanceId())
	if err != nil {
		return nil, err
	}
	who, err := identity(ctx)
	if err != nil {
		return nil, err
	}
	req := leader.RaiseRequest{Instance: ref, Name: m.GetName(), Data: wire.Payload(m.GetInput()), Trace: wire.Trace(m.GetParentTraceContext()), Identity: who}
	if err := s.backend.Raise(ctx, req); err != nil {
		return nil, fmt.Errorf("raise event %q for %q: %w", req.Name, ref.ID, err)
	}
	return &emptypb.Empty{}, nil
}

// StreamInstanceHistory sends a whole history without the events that are our
// own: SDKs fail on what they do not know.
func (s *taskHubService) StreamInstanceHistory(m *durabletask.StreamInstanceHistoryRequest, out grpc.ServerStreamingServer[durabletask.HistoryChunk]) error {
	return streamHistory(s.backend, m, out, false)
}

// newID returns 32 random hex digits, the form of generated instance IDs and of
// execution IDs.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
