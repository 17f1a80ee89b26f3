package wire

import (
	"fmt"
	"strconv"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
)

// Operations and critical sections are named by the IDs of their decisions, which
// travel as texts. Who called, or holds a lock, does not travel: it stands only in the
// mail of entities.

// fromEntityEvent sets the body of an event of entities, and reports whether it is one.
func fromEntityEvent(m *durabletask.HistoryEvent, e history.Event, instance history.InstanceID) bool {
	switch b := e.Body.(type) {
	case *history.EntityOperationSignaled:
		m.EventType = &durabletask.HistoryEvent_EntityOperationSignaled{EntityOperationSignaled: &durabletask.EntityOperationSignaledEvent{
			RequestId: decision(e.ID), Operation: b.Operation, ScheduledTime: FromTime(b.ScheduledTime), Input: FromPayload(b.Input),
			TargetInstanceId: FromText(string(b.Target)), ParentTraceContext: FromTrace(b.Trace)}}
	case *history.EntityOperationCalled:
		m.EventType = &durabletask.HistoryEvent_EntityOperationCalled{EntityOperationCalled: &durabletask.EntityOperationCalledEvent{
			RequestId: decision(e.ID), Operation: b.Operation, Input: FromPayload(b.Input), ParentInstanceId: FromText(string(instance)),
			TargetInstanceId: FromText(string(b.Target)), ParentTraceContext: FromTrace(b.Trace), CriticalSectionId: decision(b.Section)}}
	case *history.EntityOperationCompleted:
		m.EventType = &durabletask.HistoryEvent_EntityOperationCompleted{EntityOperationCompleted: &durabletask.EntityOperationCompletedEvent{
			RequestId: decision(b.TaskID), Output: FromPayload(b.Result)}}
	case *history.EntityOperationFailed:
		m.EventType = &durabletask.HistoryEvent_EntityOperationFailed{EntityOperationFailed: &durabletask.EntityOperationFailedEvent{
			RequestId: decision(b.TaskID), FailureDetails: FromFailure(b.Failure)}}
	case *history.EntityOperationCanceled:
		m.EventType = &durabletask.HistoryEvent_EntityOperationCanceled{EntityOperationCanceled: &durabletask.EntityOperationCanceledEvent{
			RequestId: decision(b.TaskID)}}
	case *history.EntityLockRequested:
		lock := &durabletask.EntityLockRequestedEvent{CriticalSectionId: decision(e.ID), ParentInstanceId: FromText(string(instance))}
		for _, id := range b.LockSet {
			lock.LockSet = append(lock.LockSet, string(id))
		}
		m.EventType = &durabletask.HistoryEvent_EntityLockRequested{EntityLockRequested: lock}
	case *history.EntityLockGranted:
		m.EventType = &durabletask.HistoryEvent_EntityLockGranted{EntityLockGranted: &durabletask.EntityLockGrantedEvent{
			CriticalSectionId: decision(b.TaskID)}}
	case *history.EntityUnlockSent:
		m.EventType = &durabletask.HistoryEvent_EntityUnlockSent{EntityUnlockSent: &durabletask.EntityUnlockSentEvent{
			CriticalSectionId: decision(b.TaskID), ParentInstanceId: FromText(string(instance))}}
	default:
		return false
	}
	return true
}

// entityEvent returns the body of an event of entities; nil where it is another.
func entityEvent(m *durabletask.HistoryEvent) (history.Body, error) {
	of := func(text string) (int32, error) {
		if text == "" {
			return history.NoID, nil
		}
		id, err := strconv.ParseInt(text, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("event %d is about the operation or critical section %q, which is no number of a decision", m.GetEventId(), text)
		}
		return int32(id), nil
	}
	switch t := m.GetEventType().(type) {
	case *durabletask.HistoryEvent_EntityOperationSignaled:
		b := t.EntityOperationSignaled
		return &history.EntityOperationSignaled{
			Target: history.InstanceID(b.GetTargetInstanceId().GetValue()), Operation: b.GetOperation(), Input: Payload(b.GetInput()),
			ScheduledTime: Time(b.GetScheduledTime()), Trace: Trace(b.GetParentTraceContext())}, nil
	case *durabletask.HistoryEvent_EntityOperationCalled:
		b := t.EntityOperationCalled
		section, err := of(b.GetCriticalSectionId())
		return &history.EntityOperationCalled{
			Target: history.InstanceID(b.GetTargetInstanceId().GetValue()), Operation: b.GetOperation(), Input: Payload(b.GetInput()),
			Section: section, Trace: Trace(b.GetParentTraceContext())}, err
	case *durabletask.HistoryEvent_EntityOperationCompleted:
		id, err := of(t.EntityOperationCompleted.GetRequestId())
		return &history.EntityOperationCompleted{TaskID: id, Result: Payload(t.EntityOperationCompleted.GetOutput())}, err
	case *durabletask.HistoryEvent_EntityOperationFailed:
		id, err := of(t.EntityOperationFailed.GetRequestId())
		return &history.EntityOperationFailed{TaskID: id, Failure: Failure(t.EntityOperationFailed.GetFailureDetails())}, err
	case *durabletask.HistoryEvent_EntityOperationCanceled:
		id, err := of(t.EntityOperationCanceled.GetRequestId())
		return &history.EntityOperationCanceled{TaskID: id}, err
	case *durabletask.HistoryEvent_EntityLockRequested:
		b := &history.EntityLockRequested{}
		for _, id := range t.EntityLockRequested.GetLockSet() {
			b.LockSet = append(b.LockSet, history.InstanceID(id))
		}
		return b, nil
	case *durabletask.HistoryEvent_EntityLockGranted:
		id, err := of(t.EntityLockGranted.GetCriticalSectionId())
		return &history.EntityLockGranted{TaskID: id}, err
	case *durabletask.HistoryEvent_EntityUnlockSent:
		id, err := of(t.EntityUnlockSent.GetCriticalSectionId())
		return &history.EntityUnlockSent{TaskID: id}, err
	}
	return nil, nil
}

// decision returns the ID of a decision as text; none is empty.
func decision(id int32) string {
	if id == history.NoID {
		return ""
	}
	return strconv.Itoa(int(id))
}
