package server

import (
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/api/reprisev1"
	"github.com/reprise-run/reprise/api/wire"
	"github.com/reprise-run/reprise/partition/leader"
)

// stateToWire is what callers see of an instance. Input, output, custom status
// and failure travel only where they were asked for.
func stateToWire(in leader.Instance, payloads bool) *durabletask.OrchestrationState {
	m := &durabletask.OrchestrationState{
		InstanceId:              string(in.Ref.ID),
		Name:                    in.Name,
		Version:                 wire.FromText(in.Version),
		OrchestrationStatus:     durabletask.OrchestrationStatus(in.Status),
		ScheduledStartTimestamp: wire.FromTime(in.ScheduledStart),
		CreatedTimestamp:        wire.FromTime(in.Created),
		LastUpdatedTimestamp:    wire.FromTime(in.Updated),
		CompletedTimestamp:      wire.FromTime(in.Completed),
		ExecutionId:             wire.FromText(string(in.Execution)),
		Tags:                    in.Tags,
	}
	if in.Parent != nil {
		m.ParentInstanceId = wire.FromText(string(in.Parent.Instance))
	}
	if payloads {
		m.Input = wire.FromPayload(in.Input)
		m.Output = wire.FromPayload(in.Output)
		m.CustomStatus = wire.FromPayload(in.CustomStatus)
		m.FailureDetails = wire.FromFailure(in.Failure)
	}
	return m
}

// detailToWire is all that callers see of an instance.
func detailToWire(in leader.Instance, payloads bool) *reprisev1.GetInstanceDetailResponse {
	m := &reprisev1.GetInstanceDetailResponse{
		Exists: true, State: stateToWire(in, payloads), HistoryEvents: in.HistoryEvents,
		Waiting: in.Waiting, Parked: in.Parked, Deadline: wire.FromTime(in.Deadline),
	}
	if !in.CancelRequested.IsZero() {
		m.CancelRequest = &reprisev1.CancelRequest{Requested: wire.FromTime(in.CancelRequested), Reason: in.CancelReason}
	}
	return m
}
