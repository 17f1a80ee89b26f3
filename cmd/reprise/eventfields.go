package main

import (
	"github.com/reprise-run/reprise/history"
)

// eventFields are the fields of an event in JSON, by their names; nil where they are not
// told.
func eventFields(body history.Body) map[string]any {
	switch b := body.(type) {
	case *history.ExecutionStarted:
		return map[string]any{"name": b.Name, "executionId": b.ExecutionID, "input": asJSON(b.Input)}
	case *history.ExecutionCompleted:
		return withFailure(map[string]any{"status": b.Status.String(), "result": asJSON(b.Result)}, b.Failure)
	case *history.ExecutionTerminated:
		return map[string]any{"reason": asJSON(b.Reason)}
	case *history.ExecutionCancelRequested:
		return map[string]any{"reason": b.Reason}
	case *history.TaskScheduled:
		return map[string]any{"name": b.Name, "input": asJSON(b.Input)}
	case *history.TaskCompleted:
		return map[string]any{"taskId": b.TaskID, "result": asJSON(b.Result)}
	case *history.TaskFailed:
		return map[string]any{"taskId": b.TaskID, "failure": toFailureJSON(b.Failure)}
	case *history.TaskCanceled:
		return map[string]any{"taskId": b.TaskID}
	case *history.TimerCreated:
		return map[string]any{"fireAt": b.FireAt}
	case *history.TimerFired:
		return map[string]any{"timerId": b.TimerID, "fireAt": b.FireAt}
	case *history.TimerCanceled:
		return map[string]any{"timerId": b.TimerID}
	case *history.EventSent:
		return map[string]any{"instanceId": b.Instance, "name": b.Name, "input": asJSON(b.Input)}
	case *history.EventRaised:
		return map[string]any{"name": b.Name, "input": asJSON(b.Input)}
	case *history.PatchApplied:
		return map[string]any{"patch": b.Patch}
	case *history.UpdateRequested:
		return map[string]any{"name": b.Name, "requestId": b.Request, "sent": b.Sent, "input": asJSON(b.Input)}
	case *history.UpdateCompleted:
		return withFailure(map[string]any{"name": b.Name, "requestId": b.Request, "sent": b.Sent, "result": asJSON(b.Result)}, b.Failure)
	}
	return nil
}

// withFailure adds a failure, if there is one.
func withFailure(fields map[string]any, f *history.Failure) map[string]any {
	if f != nil {
		fields["failure"] = toFailureJSON(f)
	}
	return fields
}
