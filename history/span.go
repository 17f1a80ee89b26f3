package history

import "time"

// Span is something that was recorded from its start to its end, as tracing tells it:
// an execution of an orchestration, an activity with all its attempts, an operation of an
// entity, or an external event that an orchestration took. There are spans of what is traced
// only.
type Span struct {
	Kind      SpanKind
	Hub       TaskHub
	Instance  InstanceID
	Execution ExecutionID // of an entity: its life
	Name      string
	Version   string
	// Trace stands for the span, Parent for what it is a part of. Link is what else it
	// belongs to, maybe in another trace: of an event, the execution that took it, where
	// that is traced.
	Trace, Parent, Link Trace
	// Began and Ended are times of the partition's clock. An execution begins when its
	// start is taken, or when it was to start, or when the one before continued as new;
	// an operation when the run begins that is recorded, and it ends when that is; an event
	// when it arrived at the execution, and it ends when the code takes it.
	Began, Ended time.Time
	// Status is how it ended: as an orchestration does.
	Status  Status
	Failure *Failure
	// TaskID is the ID of an activity, Attempts how many it had.
	TaskID   int32
	Attempts int
}

// SpanKind says what a [Span] is.
type SpanKind string

// The kinds of spans.
const (
	OrchestrationSpan SpanKind = "orchestration"
	ActivitySpan      SpanKind = "activity"
	OperationSpan     SpanKind = "operation"
	EventSpan         SpanKind = "event"
)
