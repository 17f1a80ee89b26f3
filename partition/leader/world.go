package leader

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
)

// Log is one reign over the partition's replicated log: from the moment this
// replica's Open was applied until leadership is lost or one of its entries is
// refused. *raftlog.Reign implements it.
type Log interface {
	// Epoch identifies the reign. Epochs of a partition rise.
	Epoch() uint64
	// Propose hands over a Pebble batch (its Repr; every key inside the
	// partition's range) and returns its sequence number: 1, 2, 3, … within the
	// reign. It does not wait. Only the leader's loop calls it. An error ends the
	// reign. The log keeps the batch.
	Propose(batch []byte) (sequence uint64, err error)
	// Applied returns the sequence number of the newest entry of this reign that
	// this replica has applied. It is 0 at first.
	Applied() uint64
	// Advanced is signalled (capacity 1, coalesced) whenever Applied rose.
	Advanced() <-chan struct{}
	// State reads what this replica has applied. Reads are valid during the reign.
	State() pebble.Reader
	// Confirm is the read check: it returns nil only if, at some moment after the
	// call began, this replica led the partition. Any goroutine may call it.
	Confirm(ctx context.Context) error
}

// ExecutionKey names an execution within one reign; kept executions never
// outlive their reign, because what they saw may not have been committed.
type ExecutionKey struct {
	Partition uint32
	Epoch     uint64
	Hub       history.TaskHub
	Instance  history.InstanceID
	Execution history.ExecutionID
}

// EpisodeRequest asks for one episode.
type EpisodeRequest struct {
	Key     ExecutionKey
	Name    string
	Version string
	// Episodes is how many episodes were recorded before this one. An executor
	// that keeps the execution after exactly so many runs it on; any other
	// rebuilds it from History.
	Episodes int64
	// History returns all recorded events of the execution, in order. Any
	// goroutine may call it while the request runs.
	History func(context.Context) ([]history.Event, error)
	// Arrived is what arrived since, beginning with OrchestratorStarted.
	Arrived []history.Event
	// Fence is that of the local activities of the episode.
	Fence Fence
}

// ErrUnbound says that nobody binds the name (or the version) at present. The
// instance waits, visibly, until [Leader.BindingsChanged].
var ErrUnbound = errors.New("no node binds the name")

// ErrNoLocal is the [ErrUnbound] of code that is bound, and calls a local activity that
// is not bound beside it. It says nothing of other instances of the name.
var ErrNoLocal = fmt.Errorf("%w of a local activity", ErrUnbound)

// Executor runs user code of orchestrators. It is safe for concurrent use; the
// leader never asks for two episodes of one execution at the same time.
type Executor interface {
	// Episode runs one episode and returns what was decided. It may take as long
	// as the user's code takes. Errors: [ErrUnbound], [ErrNoLocal];
	// *[history.NondeterminismError], which parks the instance; anything else is
	// passing and the leader asks again later. A failing or panicking
	// orchestrator is no error but an ExecutionCompleted with a failure.
	Episode(ctx context.Context, req EpisodeRequest) (history.Episode, error)
	// Query asks an execution, which runs no episode, at exactly so many recorded
	// episodes, and leaves it as it is; it may have ended. Nothing is recorded. It
	// returns when ctx is done, and within a bound of the executor's own, whatever the
	// user's code does.
	// Errors: [ErrUnbound], [ErrNoHandler], *[history.NondeterminismError], others.
	Query(ctx context.Context, q Inquiry) (QueryAnswer, error)
	// Forget drops the kept execution, if there is one. It does not block.
	Forget(key ExecutionKey)
	// ForgetReign drops every kept execution of a reign. It does not block.
	ForgetReign(partition uint32, epoch uint64)
}

// EntityRequest asks for a run of operations of one entity.
type EntityRequest struct {
	// Key names the entity; its execution is the present life of the entity, from its
	// first use until it has neither state, lock nor mail.
	Key  ExecutionKey
	Name string // of the entity: what code is bound to
	// State is what the entity is; nil where it does not exist yet.
	State history.Payload
	// Operations are the operations to run in this order:
	// *[history.EntityOperationSignaled] and *[history.EntityOperationCalled], as they
	// arrived, but that the trace of one that is traced is its own: what it sends
	// is a part of it.
	Operations []history.Event
	// Now is the entity's clock during the run.
	Now time.Time
	// NextID is the ID of the first decision.
	NextID int32
	// Crowded are the entities that have no room, sorted; an operation that signals one
	// of them is to fail.
	Crowded []history.InstanceID
}

// EntityExecutor runs user code of entities. It is safe for concurrent use; the
// leader never asks for two runs of one entity at the same time.
type EntityExecutor interface {
	// Operations runs the operations one after the other and returns what they did. An
	// operation that fails or panics is a result, and leaves neither a trace in the
	// state nor anything sent. Errors: [ErrUnbound]; anything else is passing and the
	// leader asks again later.
	Operations(ctx context.Context, req EntityRequest) (history.Batch, error)
}

// AttemptID names one attempt of one activity.
type AttemptID struct {
	Partition uint32
	Hub       history.TaskHub
	Instance  history.InstanceID
	Execution history.ExecutionID
	TaskID    int32
	Fence     Fence
}

// Fence orders the attempts of one activity: it rises with each attempt, also
// across leaders, without a write of its own.
type Fence struct {
	Epoch uint64
	N     uint64
}

// ActivityTask is one attempt of an activity, ready to run.
type ActivityTask struct {
	Attempt AttemptID
	Number  int // 1 for the first attempt
	Name    string
	Version string
	Input   history.Payload
	// Key is the idempotency key: the same for all attempts of the activity.
	Key     string
	Timeout time.Duration // start to close; 0: none
	history.Trace
	Tags    map[string]string
	Options *history.TaskOptions `msgpack:",omitempty"` // nil: none
	// Progress is what earlier attempts saved last; nil: nothing.
	Progress history.Payload `msgpack:",omitempty"`
	// Process is the process of the node that the attempt is for, as the dispatcher
	// knows it. Only it may begin one of an activity that is attempted at most once.
	Process uint64 `msgpack:",omitempty"`
}

// ActivityResult is how an attempt ended. Failure is nil if it succeeded.
type ActivityResult struct {
	Attempt AttemptID
	Node    string // which node ran it, for people
	Result  history.Payload
	Failure *history.Failure
	// Pending: the function has returned and somebody outside completes the attempt.
	// Ran is how long it has taken so far.
	Pending bool          `msgpack:",omitempty"`
	Ran     time.Duration `msgpack:",omitempty"`
	// Progress is what the attempt saved last, if the leader may not know it yet.
	Progress history.Payload `msgpack:",omitempty"`
}

// Heartbeat says that an attempt lives.
type Heartbeat struct {
	Attempt  AttemptID
	Progress history.Payload `msgpack:",omitempty"` // nil: as before
}

// LaneRun is a run of letters of one partition to one other, with consecutive
// numbers. What a number stands for never changes: all leaders of the sender send
// the same.
type LaneRun struct {
	From    uint32
	To      uint32
	First   uint64   // the number of the first letter
	Letters [][]byte // as [partition.Letter.Encode] returns them
	Cut     uint64   // the sender's cut number
	// Asked are entities of the receiver of which the sender wants to know whether they
	// have room. A run with any has no letters, and is answered at once.
	Asked []InstanceRef `msgpack:",omitempty"`
}

// LaneAnswer says up to which number the receiver has recorded a lane's letters.
type LaneAnswer struct {
	Received uint64
	Cut      uint64 // the receiver's cut number
	// Crowded are entities, of those that the run signals or asks for, that have no room.
	Crowded []Crowd `msgpack:",omitempty"`
}

// Courier brings letters to the leaders of other partitions, which take them by
// [Leader.Deliver]. It is safe for concurrent use.
type Courier interface {
	// Carry takes a run and calls done once, from any goroutine, with the receiver's
	// answer, or with an error if there is none; then it is not known whether the
	// run arrived. Runs of a lane arrive in the order of the calls, or not at all;
	// where a network cannot keep to that, the receiver refuses them, and they are
	// sent again. It does not block.
	Carry(run LaneRun, done func(LaneAnswer, error))
}

// ErrNoNode says that no node runs an activity, whatever room there is.
var ErrNoNode = errors.New("no node runs it")

// Dispatcher brings attempts of activities to nodes that have the function. It
// is safe for concurrent use. Results come back through [Leader.Complete].
type Dispatcher interface {
	// Dispatch takes an attempt, or returns false when no node has room for this
	// activity now; then [Leader.CapacityFreed] is called later. A name that
	// nobody binds is no room. It does not block.
	Dispatch(task ActivityTask) bool
	// Room returns how many attempts of this activity, with these options, Dispatch
	// would take now. [ErrNoNode] says that no node runs it, the text why; any other
	// error that none has room. It does not block.
	Room(name string, options *history.TaskOptions) (int, error)
	// Cancel tells the node that runs the attempt that its result is not wanted, and
	// why; the reason may be empty. It does not block.
	Cancel(attempt AttemptID, reason string)
	// Survey asks every node which attempts of the partition it runs, or holds
	// the result of, and returns when every node has answered or was declared
	// dead, after 5 s at most. From then on these nodes refuse work of lower
	// epochs, and send their results to this leader.
	Survey(ctx context.Context, partition uint32, epoch uint64) []AttemptID
}
