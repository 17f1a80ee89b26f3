package client

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Start starts the orchestration of that name and returns the instance's ID when
// the start is committed. A nil input is absent. A name that nobody binds is no
// error: the instance waits until somebody does. Errors: [ErrExists],
// [ErrTooLarge], [ErrInvalid], [ErrUnavailable], the context's.
func (c *Client) Start(ctx context.Context, name string, input history.Payload, opts ...StartOption) (history.InstanceID, error) {
	var s start
	for _, opt := range opts {
		opt(&s)
	}
	if s.id == "" {
		s.id = history.InstanceID(newID())
	}
	info := &Call{Operation: "start", Instance: s.id, Name: name, Tags: maps.Clone(s.tags), TraceParent: s.trace}
	what := call{what: fmt.Sprintf("start %q", s.id), slot: c.slot(s.id), identity: true, info: info}
	if err := history.ValidateOrchestrationID(s.id); err != nil {
		return "", fmt.Errorf("start: %w: %w", ErrInvalid, err)
	}
	req := &durabletask.CreateInstanceRequest{
		InstanceId:                 string(s.id),
		Name:                       name,
		Input:                      wire.FromPayload(input),
		ScheduledStartTimestamp:    wire.FromTime(s.at),
		OrchestrationIdReusePolicy: s.reuse.wire(),
		RequestTime:                wire.FromTime(c.config.now()),
	}
	if s.timeout != 0 {
		req.Timeout = durationpb.New(s.timeout)
	}
	if s.version != "" {
		req.Version = wrapperspb.String(s.version)
	}
	err := c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		req.Tags = info.Tags // interceptors may have changed them
		if info.TraceParent != "" {
			req.ParentTraceContext = &durabletask.TraceContext{TraceParent: info.TraceParent}
		}
		_, err := durabletask.NewTaskHubSidecarServiceClient(conn).StartInstance(ctx, req, opts...)
		return err
	})
	if err != nil {
		return "", err
	}
	return s.id, nil
}

func (r *Reuse) wire() *durabletask.OrchestrationIdReusePolicy {
	if r == nil {
		return nil
	}
	m := &durabletask.OrchestrationIdReusePolicy{}
	for _, s := range r.statuses {
		m.ReplaceableStatus = append(m.ReplaceableStatus, durabletask.OrchestrationStatus(s))
	}
	if r.keep {
		m.Action = durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_IGNORE
	}
	return m
}

// TerminateOption says how an instance is terminated.
type TerminateOption func(*durabletask.TerminateRequest)

// Recursive terminates the instance's awaited sub-orchestrations too, and theirs.
// They end soon after the call has returned.
func Recursive() TerminateOption {
	return func(r *durabletask.TerminateRequest) { r.Recursive = true }
}

// Terminate ends an instance without running its code; reason, which may be nil,
// becomes its output. An instance that has ended stays as it is, which is no
// error. Its sub-orchestrations go on, unless [Recursive] is given. [ErrNotFound]
// where there is none.
func (c *Client) Terminate(ctx context.Context, id history.InstanceID, reason history.Payload, opts ...TerminateOption) error {
	what := call{what: fmt.Sprintf("terminate %q", id), slot: c.slot(id), identity: true, info: &Call{Operation: "terminate", Instance: id}}
	req := &durabletask.TerminateRequest{InstanceId: string(id), Output: wire.FromPayload(reason)}
	for _, opt := range opts {
		opt(req)
	}
	return c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		_, err := durabletask.NewTaskHubSidecarServiceClient(conn).TerminateInstance(ctx, req, opts...)
		return err
	})
}
