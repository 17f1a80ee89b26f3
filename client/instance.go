package client

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/grpc"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/history"
)

// Instance is what the cluster tells about an instance.
type Instance struct {
	ID             history.InstanceID
	Execution      history.ExecutionID
	Name           string
	Version        string
	Status         history.Status
	Created        time.Time
	Updated        time.Time
	Completed      time.Time // zero until it ended
	ScheduledStart time.Time
	Input          history.Payload
	Output         history.Payload
	CustomStatus   history.Payload
	Failure        *history.Failure
	Tags           map[string]string
	// Parent is the orchestration that awaits the end of this one; empty where none
	// does.
	Parent history.InstanceID
	// HistoryEvents counts the events of the current execution. Only
	// [Client.Status], [Handle.Status] and watchers tell it and what follows.
	HistoryEvents int64
	// Waiting says in words what the instance waits for.
	Waiting []string
	// Parked says why the instance cannot run on by itself; empty: it can.
	Parked string
	// Deadline is when the cluster cancels the orchestration if it has not ended; zero:
	// never.
	Deadline time.Time
	// CancelRequested is when somebody asked the orchestration to end, for CancelReason,
	// and it has not ended yet; zero: nobody has.
	CancelRequested time.Time
	CancelReason    string
}

func instanceFromWire(m *durabletask.OrchestrationState) Instance {
	return Instance{
		ID:             history.InstanceID(m.GetInstanceId()),
		Execution:      history.ExecutionID(m.GetExecutionId().GetValue()),
		Name:           m.GetName(),
		Version:        m.GetVersion().GetValue(),
		Status:         history.Status(m.GetOrchestrationStatus()),
		Created:        wire.Time(m.GetCreatedTimestamp()),
		Updated:        wire.Time(m.GetLastUpdatedTimestamp()),
		Completed:      wire.Time(m.GetCompletedTimestamp()),
		ScheduledStart: wire.Time(m.GetScheduledStartTimestamp()),
		Input:          wire.Payload(m.GetInput()),
		Output:         wire.Payload(m.GetOutput()),
		CustomStatus:   wire.Payload(m.GetCustomStatus()),
		Failure:        wire.Failure(m.GetFailureDetails()),
		Tags:           m.GetTags(),
		Parent:         history.InstanceID(m.GetParentInstanceId().GetValue()),
	}
}

func detailFromWire(m *reprisev1.GetInstanceDetailResponse) Instance {
	in := instanceFromWire(m.GetState())
	in.HistoryEvents, in.Waiting, in.Parked = m.GetHistoryEvents(), m.GetWaiting(), m.GetParked()
	in.Deadline = wire.Time(m.GetDeadline())
	in.CancelRequested, in.CancelReason = wire.Time(m.GetCancelRequest().GetRequested()), m.GetCancelRequest().GetReason()
	return in
}

// Status reads an instance. The read is linearizable. [ErrNotFound] where there
// is none.
func (c *Client) Status(ctx context.Context, id history.InstanceID) (Instance, error) {
	what := c.reads(id, "status", "read %q", id)
	req := &reprisev1.GetInstanceDetailRequest{InstanceId: string(id), Payloads: true}
	m, err := ask(ctx, c, what, reprisev1.NewRepriseServiceClient, reprisev1.RepriseServiceClient.GetInstanceDetail, req)
	if err != nil {
		return Instance{}, err
	}
	if !m.GetExists() {
		return Instance{}, fmt.Errorf("%s: %w", what.what, ErrNotFound)
	}
	return detailFromWire(m), nil
}

// Wait returns when the instance has ended. The cluster tells; nothing is polled.
// [ErrNotFound] where there is none.
func (c *Client) Wait(ctx context.Context, id history.InstanceID) (Instance, error) {
	return c.wait(ctx, c.reads(id, "wait", "wait for %q", id), durabletask.TaskHubSidecarServiceClient.WaitForInstanceCompletion)
}

// WaitStart returns when the instance has left Pending. [ErrNotFound] where there
// is none.
func (c *Client) WaitStart(ctx context.Context, id history.InstanceID) (Instance, error) {
	return c.wait(ctx, c.reads(id, "wait", "wait for the start of %q", id), durabletask.TaskHubSidecarServiceClient.WaitForInstanceStart)
}

type waitMethod func(durabletask.TaskHubSidecarServiceClient, context.Context, *durabletask.GetInstanceRequest, ...grpc.CallOption) (*durabletask.GetInstanceResponse, error)

func (c *Client) wait(ctx context.Context, what call, method waitMethod) (Instance, error) {
	what.long = true
	req := &durabletask.GetInstanceRequest{InstanceId: string(what.info.Instance), GetInputsAndOutputs: true}
	m, err := ask(ctx, c, what, durabletask.NewTaskHubSidecarServiceClient, method, req)
	if err != nil {
		return Instance{}, err
	}
	if !m.GetExists() {
		return Instance{}, fmt.Errorf("%s: %w", what.what, ErrNotFound)
	}
	return instanceFromWire(m.GetOrchestrationState()), nil
}
