package history

// MaxPayloadBytes is the largest payload that is accepted: input, output, custom
// status.
const MaxPayloadBytes = 16 << 20

// PayloadBytes returns how much the payloads of events take.
func PayloadBytes(events []Event) int {
	n := 0
	for i := range events {
		n += len(PayloadOf(events[i].Body))
	}
	return n
}

// PayloadOf returns the payload of an event; nil where it has none. What failures and
// reasons carry is not counted as such.
func PayloadOf(body Body) Payload {
	switch b := body.(type) {
	case *ExecutionStarted:
		return b.Input
	case *ExecutionCompleted:
		return b.Result
	case *TaskScheduled:
		return b.Input
	case *TaskCompleted:
		return b.Result
	case *LocalTaskRun:
		return b.Result
	case *SubOrchestrationInstanceCreated:
		return b.Input
	case *SubOrchestrationInstanceCompleted:
		return b.Result
	case *EventSent:
		return b.Input
	case *EventRaised:
		return b.Input
	case *EntityOperationSignaled:
		return b.Input
	case *EntityOperationCalled:
		return b.Input
	case *EntityOperationCompleted:
		return b.Result
	case *UpdateRequested:
		return b.Input
	case *UpdateCompleted:
		return b.Result
	}
	return nil
}
