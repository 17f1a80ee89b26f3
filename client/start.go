package client

import (
	"context"
	"fmt"
	"maps"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Start starts the orchestration of that name and returns the instance's ID when
// the start is committed. A nil input is absent. A name that nobody binds is no
// error: the instance waits until somebody does. Errors: [ErrExists],
// [ErrTooLarge], [ErrInvalid], [ErrUnavailable], the context's.
func (c *Client) Start(ctx context.Context, name string, input history.Payload, opts ...StartOption) (history.InstanceID, error) {
	s, err := c.newStart(name, input, opts)
	if err != nil {
		return "", err
	}
	err = c.do(ctx, s.call("start"), func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) error {
		_, err := durabletask.NewTaskHubSidecarServiceClient(conn).StartInstance(ctx, s.request(), opts...)
		return err
	})
	if err != nil {
		return "", err
	}
	return s.id, nil
}

// Execute starts the orchestration of that name, as [Client.Start] does, waits for
// its end and returns how it ended; [Client.Outcome] tells whether it completed. It
// takes one trip to the cluster where Start and [Client.Wait] take two. After an error
// the instance may run: Wait goes on with the wait, by the ID of [WithID].
func (c *Client) Execute(ctx context.Context, name string, input history.Payload, opts ...StartOption) (Instance, error) {
	s, err := c.newStart(name, input, opts)
	if err != nil {
		return Instance{}, err
	}
	what := s.call("execute")
	what.long = true
	var m *reprisev1.ExecuteInstanceResponse
	err = c.do(ctx, what, func(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) (err error) {
		m, err = reprisev1.NewOrchestrationServiceClient(conn).ExecuteInstance(ctx, &reprisev1.ExecuteInstanceRequest{Start: s.request()}, opts...)
		return err
	})
	if err != nil {
		return Instance{}, err
	}
	if m.GetState() == nil { // it runs for longer than a node waits in this call
		return c.Wait(ctx, s.id)
	}
	return instanceFromWire(m.GetState()), nil
}

// starting is a start under way.
type starting struct {
	start
	client *Client
	name   string
	input  history.Payload
	info   *Call
}

func (c *Client) newStart(name string, input history.Payload, opts []StartOption) (*starting, error) {
	s := &starting{client: c, name: name, input: input}
	for _, opt := range opts {
		opt(&s.start)
	}
	if s.id == "" {
		s.id = history.InstanceID(newID())
	}
	if err := history.ValidateOrchestrationID(s.id); err != nil {
		return nil, fmt.Errorf("start: %w: %w", ErrInvalid, err)
	}
	return s, nil
}

// call describes the call that makes the start.
func (s *starting) call(operation string) call {
	what := s.client.changes(s.id, operation, "%s %q", operation, s.id)
	s.info = what.info
	s.info.Name, s.info.Tags, s.info.Trace = s.name, maps.Clone(s.tags), s.trace
	return what
}

// request is the start on the wire, with what interceptors made of it.
func (s *starting) request() *durabletask.CreateInstanceRequest {
	req := &durabletask.CreateInstanceRequest{
		InstanceId:                 string(s.id),
		Name:                       s.name,
		Input:                      wire.FromPayload(s.input),
		ScheduledStartTimestamp:    wire.FromTime(s.at),
		OrchestrationIdReusePolicy: s.reuse.wire(),
		RequestTime:                wire.FromTime(s.client.config.now()),
		Tags:                       s.info.Tags,
		ParentTraceContext:         wire.FromTrace(s.info.Trace.Clean()),
	}
	if s.timeout != 0 {
		req.Timeout = durationpb.New(s.timeout)
	}
	if s.version != "" {
		req.Version = wrapperspb.String(s.version)
	}
	return req
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
	req := &durabletask.TerminateRequest{InstanceId: string(id), Output: wire.FromPayload(reason)}
	for _, opt := range opts {
		opt(req)
	}
	what := c.changes(id, "terminate", "terminate %q", id)
	_, err := ask(ctx, c, what, durabletask.NewTaskHubSidecarServiceClient, durabletask.TaskHubSidecarServiceClient.TerminateInstance, req)
	return err
}
