package leader

import (
	"errors"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Errors of requests. They cross nodes by their code; see Code and FromCode in
// the cluster package.
var (
	// ErrNotLeading: this node does not lead the partition (any more). The outcome
	// of a request that was under way is unknown.
	ErrNotLeading = errors.New("this node does not lead the partition")
	// ErrExists: a live instance has the ID, or the reuse policy refuses.
	ErrExists = errors.New("orchestration instance already exists")
	// ErrNotFound: there is no such instance.
	ErrNotFound = errors.New("no such instance")
	// ErrRequestExpired: the request was first sent before the window in which
	// answers are kept; it is unknown whether it was executed. It was not now.
	ErrRequestExpired = errors.New("request is older than the window of remembered answers; its outcome is unknown")
	// ErrOverloaded: refused whole, before anything was done; try again later.
	ErrOverloaded = errors.New("partition is overloaded")
	// ErrTooLarge: a payload is over the limit.
	ErrTooLarge = errors.New("payload is too large")
	// ErrFull: the instance has as many events as it may have that it has not taken.
	ErrFull = errors.New("instance has too many events that it has not taken")
	// ErrInvalid: the request makes no sense; the wrapping error says why.
	ErrInvalid = errors.New("invalid request")
)

// ExpiredError is [ErrRequestExpired] with the partition's clock. It leaves when
// that clock is committed: from then on the request, stamped as it is, is never
// executed, however many copies of it are under way. A caller who knows that no
// earlier try was executed either may stamp it anew with this clock and ask
// again; so a partition whose clock ran ahead still serves callers whose clock is
// right.
type ExpiredError struct{ Clock time.Time }

func (e *ExpiredError) Error() string { return ErrRequestExpired.Error() }

// Is makes it an [ErrRequestExpired].
func (e *ExpiredError) Is(target error) bool { return target == ErrRequestExpired }

// AnswerGrace is how long, at least and in real time, an answer stays after its
// window has passed. Until then a request that is too old gets its answer instead
// of a refusal: who hears a refusal within this time of asking knows that no copy
// of what he sent was executed.
const AnswerGrace = time.Minute

// RequestIdentity makes a mutating request exactly-once for the window in which
// answers are remembered (10 minutes of the partition's clock). The zero value
// is a request without identity: at least once.
type RequestIdentity struct {
	ID   string
	Sent time.Time // when the caller first sent it
}

// InstanceRef names an instance.
type InstanceRef struct {
	Hub history.TaskHub
	ID  history.InstanceID
}

// ReuseAction says what a start does where an instance has the ID already.
type ReuseAction uint8

// The reuse actions.
const (
	Refuse       ReuseAction = iota // answer ErrExists
	KeepExisting                    // answer OK, start nothing
	Replace                         // end a live one (Terminated) and start anew
)

// ReusePolicy maps the status of an existing instance to what a start does. A
// status that is not in the map is refused. [DefaultReuse] is used where a
// request has none.
type ReusePolicy map[history.Status]ReuseAction

// DefaultReuse replaces an instance that has ended and refuses a live one.
func DefaultReuse() ReusePolicy {
	return ReusePolicy{history.Completed: Replace, history.Failed: Replace, history.Canceled: Replace, history.Terminated: Replace}
}

// StartRequest starts an orchestration.
type StartRequest struct {
	Instance  InstanceRef
	Execution history.ExecutionID // chosen by the node that took the request
	Name      string
	Version   string
	Input     history.Payload
	// ScheduledStart is when the first episode may run; zero or past is at once.
	ScheduledStart time.Time
	// Timeout is how long after its start the orchestration is cancelled if it has not
	// ended; 0: never.
	Timeout time.Duration
	Reuse   ReusePolicy // nil: [DefaultReuse]
	Tags    map[string]string
	history.Trace
	Identity RequestIdentity
}

// StartAnswer tells which execution the ID now stands for.
type StartAnswer struct {
	Execution history.ExecutionID
	// Started is false where the existing instance was kept.
	Started bool
}

// TerminateRequest ends an instance without running its code. An instance that
// has ended already stays as it is, and that is no error.
type TerminateRequest struct {
	Instance InstanceRef
	Reason   history.Payload
	Recurse  bool
	Identity RequestIdentity
}

// RaiseRequest raises an external event. An instance that has ended drops it, and
// that is no error.
type RaiseRequest struct {
	Instance InstanceRef
	Name     string
	Data     history.Payload
	history.Trace
	Identity RequestIdentity
}

// CompleteRequest completes an activity from outside, by the token of its attempt.
// A failure is one of that attempt: the activity's retry policy decides what follows.
type CompleteRequest struct {
	Token    history.AttemptToken
	Result   history.Payload
	Failure  *history.Failure // nil: it succeeded
	Identity RequestIdentity
}

// HeartbeatRequest says that an attempt lives that somebody outside completes.
type HeartbeatRequest struct {
	Token    history.AttemptToken
	Progress history.Payload // nil: what was saved stays
}

// Instance is what a status request tells.
type Instance struct {
	Ref            InstanceRef
	Execution      history.ExecutionID
	Name           string
	Version        string
	Status         history.Status
	Created        time.Time
	Updated        time.Time
	Completed      time.Time // zero until it ended
	ScheduledStart time.Time
	Input          history.Payload // only where payloads were asked for
	Output         history.Payload // likewise
	CustomStatus   history.Payload // likewise
	Failure        *history.Failure
	Tags           map[string]string
	Parent         *history.ParentInstance // who awaits its end; nil where nobody does
	HistoryEvents  int64
	// Waiting says in words what the instance waits for, one item a line: pending
	// activities with attempt and last failure, timers with their due time, a name
	// that nobody binds, the diff that parked it, an episode that does not yield.
	// Empty where it has ended.
	Waiting []string
	// Parked is set where the instance cannot run on by itself.
	Parked string
	// Deadline is when the orchestration is cancelled if it has not ended; zero: never.
	Deadline time.Time
	// CancelRequested is when somebody asked the orchestration to end, for CancelReason.
	// Zero: nobody has, or it has ended.
	CancelRequested time.Time
	CancelReason    string
}

// StatusRequest reads an instance. It is linearizable.
type StatusRequest struct {
	Instance InstanceRef
	Payloads bool
}

// WaitRequest waits until an instance has left Pending, or has ended.
type WaitRequest struct {
	Instance InstanceRef
	Ended    bool // false: until it is not Pending
	Payloads bool
}

// HistoryRequest reads a page of an execution's history.
type HistoryRequest struct {
	Instance  InstanceRef
	Execution history.ExecutionID // empty: the current one
	// FromEpisode is where the page begins; a page ends after about 1 MiB.
	FromEpisode int64
}

// HistoryPage is a run of whole episodes.
type HistoryPage struct {
	Execution   history.ExecutionID
	Events      []history.Event
	NextEpisode int64 // where the next page begins; 0 at the end
}
