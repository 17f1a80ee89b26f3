package history

import (
	"math"
	"strings"
	"time"
)

// Payload is a value that user code gave or takes, encoded by the user's codec
// (JSON by default). The engine treats it as bytes. A nil Payload is absent,
// which is not the same as an empty one.
type Payload []byte

// NoID is the ID of every event that is not the record of a decision.
const NoID int32 = -1

// Event is one entry of an execution's history.
type Event struct {
	// ID is the orchestrator's own sequence number of the decision that the event
	// records; such IDs grow strictly through a history. Everything else has [NoID].
	ID int32
	// Time is the partition's clock when the event was recorded.
	Time time.Time
	// Body says what happened.
	Body Body
	// Extra holds fields that this version does not know, as they came.
	Extra []byte
}

// lastTime is the last time that the stored form can tell, in the year 2262.
var lastTime = time.Unix(0, math.MaxInt64).UTC()

// StoredTime returns t as a history keeps it: a later one than it can tell is the last that
// it can.
func StoredTime(t time.Time) time.Time {
	if t.After(lastTime) {
		return lastTime
	}
	return t
}

// Body is what happened. The set of bodies is sealed.
type Body interface {
	// Kind returns the event's number in stored form, which is the field number
	// of the event in the Durable Task protocol's HistoryEvent.
	Kind() Kind
}

// Kind numbers the bodies. Numbers are stored and never reused.
type Kind uint8

// The kinds of events; those of entities (23–29) and of updates (68–70) stand with their bodies. The gaps
// are the Durable Task events that are not produced yet (suspend and resume 21–22,
// rewind 30).
const (
	KindExecutionStarted                  Kind = 3
	KindExecutionCompleted                Kind = 4
	KindExecutionTerminated               Kind = 5
	KindTaskScheduled                     Kind = 6
	KindTaskCompleted                     Kind = 7
	KindTaskFailed                        Kind = 8
	KindSubOrchestrationInstanceCreated   Kind = 9
	KindSubOrchestrationInstanceCompleted Kind = 10
	KindSubOrchestrationInstanceFailed    Kind = 11
	KindTimerCreated                      Kind = 12
	KindTimerFired                        Kind = 13
	KindOrchestratorStarted               Kind = 14
	KindEventSent                         Kind = 16
	KindEventRaised                       Kind = 17
	KindContinueAsNew                     Kind = 20
	// Kinds from 64 on are our own; they never go to a Durable Task SDK.
	KindTimerCanceled                    Kind = 64
	KindTaskCanceled                     Kind = 65
	KindSubOrchestrationInstanceCanceled Kind = 66
	KindExecutionCancelRequested         Kind = 67
	KindLocalTaskRun                     Kind = 72
)

type (
	// OrchestratorStarted begins every episode. Its event's time is the
	// orchestrator's clock during that episode.
	OrchestratorStarted struct{}

	// ExecutionStarted is the first thing that arrives at an execution.
	ExecutionStarted struct {
		Name        string
		Version     string
		Input       Payload
		ExecutionID ExecutionID
		Parent      *ParentInstance
		// ScheduledStart is when the first episode may run; zero is at once.
		ScheduledStart time.Time
		Trace          Trace
		Tags           map[string]string
		// Deadline is when the orchestration is cancelled if it has not ended; zero:
		// never.
		Deadline time.Time
	}

	// ExecutionCompleted is the last decision of an execution, or the server's
	// record that it ended the execution itself: that one has no ID, except where it
	// answers an ExecutionTerminated. With the status ContinuedAsNew the instance goes
	// on with a new execution, whose input is the result.
	ExecutionCompleted struct {
		Status  Status
		Result  Payload
		Failure *Failure
		// NextVersion is the version of the new execution; empty: it stays the same.
		NextVersion string
	}

	// ExecutionTerminated arrives when somebody asks for the end.
	ExecutionTerminated struct {
		Reason  Payload
		Recurse bool
	}

	// ExecutionCancelRequested arrives when somebody asks the orchestrator to end. It
	// sees that at its waits and may clean up; only the first one counts.
	ExecutionCancelRequested struct{ Reason string }

	// TaskScheduled decides that an activity is to run.
	TaskScheduled struct {
		Name    string
		Version string
		Input   Payload
		Retry   *RetryPolicy  // nil: one attempt
		Timeout time.Duration // of one attempt, start to close; 0: none
		Trace   Trace
		Tags    map[string]string
		Options *TaskOptions // nil: none
	}

	// TaskCompleted arrives when an activity returned a result.
	TaskCompleted struct {
		TaskID int32
		Result Payload
	}

	// TaskFailed arrives when an activity failed for good.
	TaskFailed struct {
		TaskID  int32
		Failure *Failure
	}

	// LocalTaskRun decides what an attempt of a local activity came to, which has run
	// inside the episode. Nothing arrives.
	LocalTaskRun struct {
		Name    string
		Attempt int32 // from 1
		Result  Payload
		Failure *Failure // nil if it succeeded
	}

	// TaskCanceled decides that the result of a scheduled activity is not wanted
	// any more: its pending row goes, a running attempt is told, with the reason.
	TaskCanceled struct {
		TaskID int32
		Reason string
	}

	// SubOrchestrationInstanceCreated decides that another orchestration, a child,
	// is to be started. Its execution ID follows from this one's; see
	// [ChildExecution].
	SubOrchestrationInstanceCreated struct {
		Instance InstanceID
		Name     string
		Version  string
		Input    Payload
		// Detached: the child has no parent. Nothing awaits its end, and nothing that
		// happens to this execution reaches it.
		Detached bool
		Trace    Trace
		Tags     map[string]string
		// Timeout is how long after this decision the child is cancelled if it has not
		// ended; 0: never.
		Timeout time.Duration
	}

	// SubOrchestrationInstanceCompleted arrives when a child completed.
	SubOrchestrationInstanceCompleted struct {
		TaskID int32
		Result Payload
	}

	// SubOrchestrationInstanceFailed arrives when a child failed, was terminated, or
	// could not be started.
	SubOrchestrationInstanceFailed struct {
		TaskID  int32
		Failure *Failure
	}

	// SubOrchestrationInstanceCanceled decides that a child is not wanted any more:
	// it is terminated, and so are its own children. A request only asks it to end
	// ([ExecutionCancelRequested]); how it ends is still awaited.
	SubOrchestrationInstanceCanceled struct {
		TaskID  int32
		Request bool
		Reason  string
	}

	// TimerCreated decides that a timer is to fire.
	TimerCreated struct{ FireAt time.Time }

	// TimerFired arrives when a timer is due by the partition's clock.
	TimerFired struct {
		TimerID int32
		FireAt  time.Time
	}

	// TimerCanceled decides that a timer is not wanted any more.
	TimerCanceled struct{ TimerID int32 }

	// EventSent decides that an event goes to another instance. Nothing comes back.
	EventSent struct {
		Instance InstanceID
		Name     string
		Input    Payload
		Trace    Trace
	}

	// EventRaised arrives when somebody raised an external event. Its name compares
	// without regard to case; see [EventName].
	EventRaised struct {
		Name  string
		Input Payload
		Trace Trace // the sender's
	}
)

// Kind implements Body.
func (OrchestratorStarted) Kind() Kind                { return KindOrchestratorStarted }
func (*ExecutionStarted) Kind() Kind                  { return KindExecutionStarted }
func (*ExecutionCompleted) Kind() Kind                { return KindExecutionCompleted }
func (*ExecutionTerminated) Kind() Kind               { return KindExecutionTerminated }
func (*ExecutionCancelRequested) Kind() Kind          { return KindExecutionCancelRequested }
func (*TaskScheduled) Kind() Kind                     { return KindTaskScheduled }
func (*TaskCompleted) Kind() Kind                     { return KindTaskCompleted }
func (*TaskFailed) Kind() Kind                        { return KindTaskFailed }
func (*TaskCanceled) Kind() Kind                      { return KindTaskCanceled }
func (*LocalTaskRun) Kind() Kind                      { return KindLocalTaskRun }
func (*SubOrchestrationInstanceCreated) Kind() Kind   { return KindSubOrchestrationInstanceCreated }
func (*SubOrchestrationInstanceCompleted) Kind() Kind { return KindSubOrchestrationInstanceCompleted }
func (*SubOrchestrationInstanceFailed) Kind() Kind    { return KindSubOrchestrationInstanceFailed }
func (*SubOrchestrationInstanceCanceled) Kind() Kind  { return KindSubOrchestrationInstanceCanceled }
func (*TimerCreated) Kind() Kind                      { return KindTimerCreated }
func (*TimerFired) Kind() Kind                        { return KindTimerFired }
func (*TimerCanceled) Kind() Kind                     { return KindTimerCanceled }

func (*EventSent) Kind() Kind   { return KindEventSent }
func (*EventRaised) Kind() Kind { return KindEventRaised }

// EventName returns what is equal for two names of one external event: as in the
// Durable Task model, they compare without regard to case.
func EventName(name string) string { return strings.ToLower(name) }

// ParentInstance names the orchestration that started this one.
type ParentInstance struct {
	Name      string
	Instance  InstanceID
	Execution ExecutionID
	TaskID    int32
	// Depth is how many orchestrations wait above this one, from 1 on.
	Depth int32
}

// MaxDepth is how deep sub-orchestrations nest: one below is not started, and its
// parent is told so. It ends a recursion that has no end.
const MaxDepth = 10_000

// MaxFinalCodesBytes bounds the codes of a retry policy, together: every pending activity
// has them in its row.
const MaxFinalCodesBytes = 8 << 10

// RetryPolicy says how the partition's leader repeats a failing activity. It
// travels with the scheduled activity, so retries need no orchestrator.
type RetryPolicy struct {
	MaxAttempts  int           // attempts in all, at least 1
	First        time.Duration // wait before the second attempt
	Backoff      float64       // factor from one wait to the next, at least 1
	MaxInterval  time.Duration // longest wait; 0: no limit
	Total        time.Duration // no new attempt later than this after the first; 0: no limit
	NonRetryable []string      // error codes ([Failure].Code) that end the retries
}

// Episode is what one pass of an orchestrator decided.
type Episode struct {
	// Decided holds the decisions in order, each with its ID. Where the execution
	// ended, the last is an *[ExecutionCompleted].
	Decided []Event
	// CustomStatus is the value after the episode; nil where there is none.
	CustomStatus Payload
	// Tags are the tags of the instance after the episode, where the code has ever
	// changed them; nil: they are as before. They are not changed in place.
	Tags map[string]string
	// Awaits are the names of the external events that the code waits for after the
	// episode, sorted, each once.
	Awaits []string
	// Buffered counts the events that have arrived and that no wait has taken.
	Buffered int
	// Taken are the events that the code took in the episode and that came with a trace.
	Taken []TakenEvent
	// Carried are the events that the next execution gets, where this one continues
	// as new: those that no wait has taken, in the order in which they arrived.
	Carried []*EventRaised
	// Cancel is a request to end that the code has not seen, where the execution
	// continues as new; the next one gets it.
	Cancel *ExecutionCancelRequested
	// CarriedUpdates are the updates that the next execution gets, likewise.
	CarriedUpdates []*UpdateRequested
	// Updates are the names of the updates that the code takes, sorted, each once.
	Updates []string
	// Unrecorded are the updates among what arrived that are not to be recorded, in
	// their order.
	Unrecorded []Unrecorded
}

// TakenEvent is an external event that a wait of the code has got. That is the end of its
// way, and comes once, however often the code is run again.
type TakenEvent struct {
	Number int // the how-manieth of the execution it was, from 0
	Name   string
	// Arrived is when the execution got it: where it continued as new, from the one before.
	Arrived time.Time
	Trace   Trace // the sender's
}

// Completion returns the decision that ended the execution, or nil.
func (e Episode) Completion() *ExecutionCompleted {
	if n := len(e.Decided); n > 0 {
		if c, ok := e.Decided[n-1].Body.(*ExecutionCompleted); ok {
			return c
		}
	}
	return nil
}
