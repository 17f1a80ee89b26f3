package wire

import (
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
)

// FromEvent returns the wire form of an event of the given instance. The error
// is of a body that this package does not know, which is a mistake in it.
func FromEvent(e history.Event, instance history.InstanceID) (*durabletask.HistoryEvent, error) {
	m := &durabletask.HistoryEvent{EventId: e.ID, Timestamp: timestamppb.New(e.Time)}
	switch b := e.Body.(type) {
	case history.OrchestratorStarted:
		m.EventType = &durabletask.HistoryEvent_OrchestratorStarted{OrchestratorStarted: &durabletask.OrchestratorStartedEvent{}}
	case *history.ExecutionStarted:
		m.EventType = &durabletask.HistoryEvent_ExecutionStarted{ExecutionStarted: fromStarted(b, instance)}
	case *history.ExecutionCompleted:
		m.EventType = &durabletask.HistoryEvent_ExecutionCompleted{ExecutionCompleted: &durabletask.ExecutionCompletedEvent{
			OrchestrationStatus: durabletask.OrchestrationStatus(b.Status), Result: FromPayload(b.Result), FailureDetails: FromFailure(b.Failure)}}
	case *history.ExecutionTerminated:
		m.EventType = &durabletask.HistoryEvent_ExecutionTerminated{ExecutionTerminated: &durabletask.ExecutionTerminatedEvent{Input: FromPayload(b.Reason), Recurse: b.Recurse}}
	case *history.ExecutionCancelRequested:
		m.EventType = &durabletask.HistoryEvent_ExecutionCancelRequested{ExecutionCancelRequested: &durabletask.ExecutionCancelRequestedEvent{Reason: text(b.Reason)}}
	case *history.TaskScheduled:
		m.EventType = &durabletask.HistoryEvent_TaskScheduled{TaskScheduled: fromScheduled(b)}
	case *history.TaskCompleted:
		m.EventType = &durabletask.HistoryEvent_TaskCompleted{TaskCompleted: &durabletask.TaskCompletedEvent{TaskScheduledId: b.TaskID, Result: FromPayload(b.Result)}}
	case *history.TaskFailed:
		m.EventType = &durabletask.HistoryEvent_TaskFailed{TaskFailed: &durabletask.TaskFailedEvent{TaskScheduledId: b.TaskID, FailureDetails: FromFailure(b.Failure)}}
	case *history.PatchApplied:
		m.EventType = &durabletask.HistoryEvent_PatchApplied{PatchApplied: &durabletask.PatchAppliedEvent{Patch: b.Patch}}
	case *history.UpdateRequested:
		m.EventType = &durabletask.HistoryEvent_UpdateRequested{UpdateRequested: &durabletask.UpdateRequestedEvent{
			RequestId: b.Request, Sent: FromTime(b.Sent), Name: b.Name, Input: FromPayload(b.Input)}}
	case *history.UpdateCompleted:
		m.EventType = &durabletask.HistoryEvent_UpdateCompleted{UpdateCompleted: &durabletask.UpdateCompletedEvent{
			RequestId: b.Request, Sent: FromTime(b.Sent), Name: b.Name, Result: FromPayload(b.Result), FailureDetails: FromFailure(b.Failure)}}
	case *history.LocalTaskRun:
		m.EventType = &durabletask.HistoryEvent_LocalTaskRun{LocalTaskRun: &durabletask.LocalTaskRunEvent{
			Name: b.Name, Attempt: b.Attempt, Result: FromPayload(b.Result), FailureDetails: FromFailure(b.Failure)}}
	case *history.TaskCanceled:
		m.EventType = &durabletask.HistoryEvent_TaskCanceled{TaskCanceled: &durabletask.TaskCanceledEvent{TaskScheduledId: b.TaskID, Reason: text(b.Reason)}}
	case *history.SubOrchestrationInstanceCreated:
		m.EventType = &durabletask.HistoryEvent_SubOrchestrationInstanceCreated{SubOrchestrationInstanceCreated: &durabletask.SubOrchestrationInstanceCreatedEvent{
			InstanceId: string(b.Instance), Name: b.Name, Version: FromText(b.Version), Input: FromPayload(b.Input),
			ParentTraceContext: FromTrace(b.Trace), Tags: b.Tags, Detached: b.Detached, Timeout: fromDuration(b.Timeout)}}
	case *history.SubOrchestrationInstanceCompleted:
		m.EventType = &durabletask.HistoryEvent_SubOrchestrationInstanceCompleted{SubOrchestrationInstanceCompleted: &durabletask.SubOrchestrationInstanceCompletedEvent{
			TaskScheduledId: b.TaskID, Result: FromPayload(b.Result)}}
	case *history.SubOrchestrationInstanceFailed:
		m.EventType = &durabletask.HistoryEvent_SubOrchestrationInstanceFailed{SubOrchestrationInstanceFailed: &durabletask.SubOrchestrationInstanceFailedEvent{
			TaskScheduledId: b.TaskID, FailureDetails: FromFailure(b.Failure)}}
	case *history.SubOrchestrationInstanceCanceled:
		m.EventType = &durabletask.HistoryEvent_SubOrchestrationInstanceCanceled{SubOrchestrationInstanceCanceled: &durabletask.SubOrchestrationInstanceCanceledEvent{
			TaskScheduledId: b.TaskID, Request: b.Request, Reason: text(b.Reason)}}
	case *history.TimerCreated:
		m.EventType = &durabletask.HistoryEvent_TimerCreated{TimerCreated: &durabletask.TimerCreatedEvent{FireAt: timestamppb.New(b.FireAt)}}
	case *history.TimerFired:
		m.EventType = &durabletask.HistoryEvent_TimerFired{TimerFired: &durabletask.TimerFiredEvent{FireAt: timestamppb.New(b.FireAt), TimerId: b.TimerID}}
	case *history.TimerCanceled:
		m.EventType = &durabletask.HistoryEvent_TimerCanceled{TimerCanceled: &durabletask.TimerCanceledEvent{TimerId: b.TimerID}}
	case *history.EventSent:
		m.EventType = &durabletask.HistoryEvent_EventSent{EventSent: &durabletask.EventSentEvent{InstanceId: string(b.Instance), Name: b.Name, Input: FromPayload(b.Input), ParentTraceContext: FromTrace(b.Trace)}}
	case *history.EventRaised:
		m.EventType = &durabletask.HistoryEvent_EventRaised{EventRaised: &durabletask.EventRaisedEvent{Name: b.Name, Input: FromPayload(b.Input), ParentTraceContext: FromTrace(b.Trace)}}
	default:
		if fromEntityEvent(m, e, instance) {
			break
		}
		return nil, fmt.Errorf("event %d has the body %T, which has no wire form", e.ID, e.Body)
	}
	m.ProtoReflect().SetUnknown(e.Extra)
	return m, nil
}

// Event is the inverse of [FromEvent]. The error is of a kind of event that this
// version does not know.
func Event(m *durabletask.HistoryEvent) (history.Event, error) {
	e := history.Event{ID: m.GetEventId(), Time: Time(m.GetTimestamp()), Extra: unknown(m)}
	switch t := m.GetEventType().(type) {
	case *durabletask.HistoryEvent_OrchestratorStarted:
		e.Body = history.OrchestratorStarted{}
	case *durabletask.HistoryEvent_ExecutionStarted:
		e.Body = started(t.ExecutionStarted)
	case *durabletask.HistoryEvent_ExecutionCompleted:
		b := t.ExecutionCompleted
		e.Body = &history.ExecutionCompleted{Status: history.Status(b.GetOrchestrationStatus()), Result: Payload(b.GetResult()), Failure: Failure(b.GetFailureDetails())}
	case *durabletask.HistoryEvent_ExecutionTerminated:
		e.Body = &history.ExecutionTerminated{Reason: Payload(t.ExecutionTerminated.GetInput()), Recurse: t.ExecutionTerminated.GetRecurse()}
	case *durabletask.HistoryEvent_ExecutionCancelRequested:
		e.Body = &history.ExecutionCancelRequested{Reason: t.ExecutionCancelRequested.GetReason()}
	case *durabletask.HistoryEvent_TaskScheduled:
		e.Body = scheduled(t.TaskScheduled)
	case *durabletask.HistoryEvent_TaskCompleted:
		e.Body = &history.TaskCompleted{TaskID: t.TaskCompleted.GetTaskScheduledId(), Result: Payload(t.TaskCompleted.GetResult())}
	case *durabletask.HistoryEvent_TaskFailed:
		e.Body = &history.TaskFailed{TaskID: t.TaskFailed.GetTaskScheduledId(), Failure: Failure(t.TaskFailed.GetFailureDetails())}
	case *durabletask.HistoryEvent_PatchApplied:
		e.Body = &history.PatchApplied{Patch: t.PatchApplied.GetPatch()}
	case *durabletask.HistoryEvent_UpdateRequested:
		b := t.UpdateRequested
		e.Body = &history.UpdateRequested{Request: b.GetRequestId(), Sent: Time(b.GetSent()), Name: b.GetName(), Input: Payload(b.GetInput())}
	case *durabletask.HistoryEvent_UpdateCompleted:
		b := t.UpdateCompleted
		e.Body = &history.UpdateCompleted{Request: b.GetRequestId(), Sent: Time(b.GetSent()), Name: b.GetName(), Result: Payload(b.GetResult()), Failure: Failure(b.GetFailureDetails())}
	case *durabletask.HistoryEvent_LocalTaskRun:
		b := t.LocalTaskRun
		e.Body = &history.LocalTaskRun{Name: b.GetName(), Attempt: b.GetAttempt(), Result: Payload(b.GetResult()), Failure: Failure(b.GetFailureDetails())}
	case *durabletask.HistoryEvent_TaskCanceled:
		e.Body = &history.TaskCanceled{TaskID: t.TaskCanceled.GetTaskScheduledId(), Reason: t.TaskCanceled.GetReason()}
	case *durabletask.HistoryEvent_SubOrchestrationInstanceCreated:
		b := t.SubOrchestrationInstanceCreated
		e.Body = &history.SubOrchestrationInstanceCreated{
			Instance: history.InstanceID(b.GetInstanceId()), Name: b.GetName(), Version: b.GetVersion().GetValue(), Input: Payload(b.GetInput()),
			Trace: Trace(b.GetParentTraceContext()), Tags: b.GetTags(), Detached: b.GetDetached(), Timeout: duration(b.GetTimeout())}
	case *durabletask.HistoryEvent_SubOrchestrationInstanceCompleted:
		b := t.SubOrchestrationInstanceCompleted
		e.Body = &history.SubOrchestrationInstanceCompleted{TaskID: b.GetTaskScheduledId(), Result: Payload(b.GetResult())}
	case *durabletask.HistoryEvent_SubOrchestrationInstanceFailed:
		b := t.SubOrchestrationInstanceFailed
		e.Body = &history.SubOrchestrationInstanceFailed{TaskID: b.GetTaskScheduledId(), Failure: Failure(b.GetFailureDetails())}
	case *durabletask.HistoryEvent_SubOrchestrationInstanceCanceled:
		b := t.SubOrchestrationInstanceCanceled
		e.Body = &history.SubOrchestrationInstanceCanceled{TaskID: b.GetTaskScheduledId(), Request: b.GetRequest(), Reason: b.GetReason()}
	case *durabletask.HistoryEvent_TimerCreated:
		e.Body = &history.TimerCreated{FireAt: Time(t.TimerCreated.GetFireAt())}
	case *durabletask.HistoryEvent_TimerFired:
		e.Body = &history.TimerFired{TimerID: t.TimerFired.GetTimerId(), FireAt: Time(t.TimerFired.GetFireAt())}
	case *durabletask.HistoryEvent_TimerCanceled:
		e.Body = &history.TimerCanceled{TimerID: t.TimerCanceled.GetTimerId()}
	case *durabletask.HistoryEvent_EventSent:
		b := t.EventSent
		e.Body = &history.EventSent{Instance: history.InstanceID(b.GetInstanceId()), Name: b.GetName(), Input: Payload(b.GetInput()), Trace: Trace(b.GetParentTraceContext())}
	case *durabletask.HistoryEvent_EventRaised:
		b := t.EventRaised
		e.Body = &history.EventRaised{Name: b.GetName(), Input: Payload(b.GetInput()), Trace: Trace(b.GetParentTraceContext())}
	default:
		body, err := entityEvent(m)
		if err != nil {
			return e, err
		}
		if e.Body = body; body != nil {
			break
		}
		return e, fmt.Errorf("event %d is of a kind (%T) that this version does not know", m.GetEventId(), t)
	}
	return e, nil
}

func fromStarted(b *history.ExecutionStarted, instance history.InstanceID) *durabletask.ExecutionStartedEvent {
	m := &durabletask.ExecutionStartedEvent{
		Name:    b.Name,
		Version: FromText(b.Version),
		Input:   FromPayload(b.Input),
		OrchestrationInstance: &durabletask.OrchestrationInstance{
			InstanceId: string(instance), ExecutionId: FromText(string(b.ExecutionID))},
		ScheduledStartTimestamp: FromTime(b.ScheduledStart),
		ParentTraceContext:      FromTrace(b.Trace),
		Tags:                    b.Tags,
		Deadline:                FromTime(b.Deadline),
	}
	if p := b.Parent; p != nil {
		m.ParentInstance = &durabletask.ParentInstanceInfo{
			TaskScheduledId: p.TaskID,
			Depth:           p.Depth,
			Name:            wrapperspb.String(p.Name),
			OrchestrationInstance: &durabletask.OrchestrationInstance{
				InstanceId: string(p.Instance), ExecutionId: FromText(string(p.Execution))},
		}
	}
	return m
}

func started(m *durabletask.ExecutionStartedEvent) *history.ExecutionStarted {
	b := &history.ExecutionStarted{
		Name:           m.GetName(),
		Version:        m.GetVersion().GetValue(),
		Input:          Payload(m.GetInput()),
		ExecutionID:    history.ExecutionID(m.GetOrchestrationInstance().GetExecutionId().GetValue()),
		ScheduledStart: Time(m.GetScheduledStartTimestamp()),
		Trace:          Trace(m.GetParentTraceContext()),
		Tags:           m.GetTags(),
		Deadline:       Time(m.GetDeadline()),
	}
	if p := m.GetParentInstance(); p != nil {
		b.Parent = &history.ParentInstance{
			Name:      p.GetName().GetValue(),
			Instance:  history.InstanceID(p.GetOrchestrationInstance().GetInstanceId()),
			Execution: history.ExecutionID(p.GetOrchestrationInstance().GetExecutionId().GetValue()),
			TaskID:    p.GetTaskScheduledId(),
			Depth:     p.GetDepth(),
		}
	}
	return b
}

func fromScheduled(b *history.TaskScheduled) *durabletask.TaskScheduledEvent {
	m := &durabletask.TaskScheduledEvent{
		Name:               b.Name,
		Version:            FromText(b.Version),
		Input:              FromPayload(b.Input),
		ParentTraceContext: FromTrace(b.Trace),
		Tags:               b.Tags,
		Timeout:            fromDuration(b.Timeout),
	}
	if r := b.Retry; r != nil {
		m.Retry = &durabletask.RetryPolicy{
			MaxAttempts:   int32(r.MaxAttempts),
			FirstInterval: fromDuration(r.First),
			Backoff:       r.Backoff,
			MaxInterval:   fromDuration(r.MaxInterval),
			Total:         fromDuration(r.Total),
			NonRetryable:  r.NonRetryable,
		}
	}
	if o := b.Options; o != nil {
		m.Options = &durabletask.TaskOptions{
			HeartbeatTimeout: fromDuration(o.HeartbeatTimeout),
			ScheduleToStart:  fromDuration(o.ScheduleToStart),
			ScheduleToClose:  fromDuration(o.ScheduleToClose),
			AtMostOnce:       o.AtMostOnce,
			Priority:         o.Priority,
			FairnessKey:      o.FairnessKey,
			Nodes:            o.Nodes,
		}
	}
	return m
}

func scheduled(m *durabletask.TaskScheduledEvent) *history.TaskScheduled {
	b := &history.TaskScheduled{
		Name:    m.GetName(),
		Version: m.GetVersion().GetValue(),
		Input:   Payload(m.GetInput()),
		Timeout: duration(m.GetTimeout()),
		Trace:   Trace(m.GetParentTraceContext()),
		Tags:    m.GetTags(),
	}
	if r := m.GetRetry(); r != nil {
		b.Retry = &history.RetryPolicy{
			MaxAttempts:  int(r.GetMaxAttempts()),
			First:        duration(r.GetFirstInterval()),
			Backoff:      r.GetBackoff(),
			MaxInterval:  duration(r.GetMaxInterval()),
			Total:        duration(r.GetTotal()),
			NonRetryable: r.GetNonRetryable(),
		}
	}
	if o := m.GetOptions(); o != nil {
		b.Options = &history.TaskOptions{
			HeartbeatTimeout: duration(o.GetHeartbeatTimeout()),
			ScheduleToStart:  duration(o.GetScheduleToStart()),
			ScheduleToClose:  duration(o.GetScheduleToClose()),
			AtMostOnce:       o.GetAtMostOnce(),
			Priority:         o.GetPriority(),
			FairnessKey:      o.GetFairnessKey(),
			Nodes:            o.GetNodes(),
		}
	}
	return b
}
