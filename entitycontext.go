package reprise

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/reprise-run/reprise/history"
)

// EntityContext is what an operation of an entity runs with, beside its state. The
// operation's own goroutine uses it, and only until the function returns. It is not a
// context.Context.
//
// An operation computes: it reads and changes the state, and it sends. It does not wait,
// and what touches the world belongs in an activity of an orchestration, which an
// operation can start ([Orchestrator.StartDetached]). While it runs, everybody else waits
// who wants something of the entity. After a crash it may run again, on another node; one
// run is recorded, and only of that one anybody sees something.
type EntityContext struct {
	codec     Codec
	logger    *slog.Logger
	info      EntityInfo
	operation string
	value     any // of the state, as a pointer
	// trace is that of the operation, and of all that it sends.
	trace  history.Trace
	exists bool
	// state is what the entity is after the operation, unless that deletes it.
	state   history.Payload
	deleted bool
	over    bool
	rand    *rand.Rand
	// sent is what the operation sends; the IDs follow the run's.
	sent      []history.Event
	sentBytes int
}

// ID returns the entity's ID, "@name@key".
func (e *EntityContext) ID() history.InstanceID { return e.info.Entity }

// Key returns the entity's key.
func (e *EntityContext) Key() string {
	_, key := e.info.Entity.Entity()
	return key
}

// TaskHub returns the task hub of the entity.
func (e *EntityContext) TaskHub() history.TaskHub { return e.info.Hub }

// Operation returns the name of the operation, as the caller wrote it.
func (e *EntityContext) Operation() string { return e.operation }

// Trace returns the trace of the operation, which what it starts, signals and sends gets
// as well; zero where it is not traced.
func (e *EntityContext) Trace() history.Trace { return e.trace }

// Exists reports whether the entity had a state when the operation began. Where it had
// none, the operation got the zero value.
func (e *EntityContext) Exists() bool { return e.exists }

// Delete lets the entity have no state after this operation, if it succeeds; what the
// operation does to the state is lost then. The next operation finds the zero value. An
// entity without a state, of which nobody wants anything, leaves nothing behind.
func (e *EntityContext) Delete() {
	if e.over {
		panic(misuse("the context of operation %q of %s was used after its end, to delete the entity", e.operation, e.info.Entity))
	}
	e.deleted = true
}

// Now returns the time of the partition's clock when the run of operations began.
func (e *EntityContext) Now() time.Time { return e.info.Now }

// NewID returns a new unique ID, a UUID as text.
func (e *EntityContext) NewID() string {
	var id [16]byte
	for i := range id {
		id[i] = byte(e.Rand().Uint32())
	}
	return uuid(id[:], 4) // random
}

// Rand returns a source of random numbers. It is not for secrets.
func (e *EntityContext) Rand() *rand.Rand {
	if e.rand == nil {
		var seed [32]byte
		_, _ = crand.Read(seed[:]) // never fails
		e.rand = rand.New(rand.NewChaCha8(seed))
	}
	return e.rand
}

// Log returns a logger whose lines tell the entity and the operation. A line is written
// whenever the operation runs, also where the run is not recorded or the operation fails.
func (e *EntityContext) Log() *slog.Logger {
	return e.logger.With("entity", string(e.info.Entity), "operation", e.operation)
}

// Bounds of what one operation sends.
const (
	maxSent      = 10_000
	maxSentBytes = history.MaxPayloadBytes
)

var errOperationOver = errors.New("the operation has ended")

func (e *EntityContext) payloads() Codec { return e.codec }

func (e *EntityContext) signal(s *history.EntityOperationSignaled) error {
	if _, crowded := slices.BinarySearch(e.info.Crowded, s.Target); crowded {
		return fmt.Errorf("%w: entity %s has no room for more operations", ErrFlooded, s.Target)
	}
	return e.send(s, len(s.Operation)+len(s.Target)+len(s.Input))
}

func (e *EntityContext) sendEvent(s *history.EventSent) error {
	return e.send(s, len(s.Name)+len(s.Instance)+len(s.Input))
}

func (e *EntityContext) startDetached(child *history.SubOrchestrationInstanceCreated) error {
	child.Detached = true
	if child.Instance == "" {
		child.Instance = history.ChildInstance(e.info.Execution, e.info.NextID+int32(len(e.sent)))
	}
	return e.send(child, len(child.Name)+len(child.Instance)+len(child.Input)+history.TagBytes(child.Tags))
}

// send adds a decision of so many bytes, and those of the trace.
func (e *EntityContext) send(body history.Body, size int) error {
	size += e.trace.Bytes()
	switch {
	case e.over:
		return errOperationOver
	case len(e.sent) == maxSent:
		return fmt.Errorf("%w: the operation has sent %d signals, events and starts; no more are allowed", ErrTooLarge, maxSent)
	case e.sentBytes+size > maxSentBytes:
		return fmt.Errorf("%w: the operation would send %d bytes; at most %d are allowed together", ErrTooLarge, e.sentBytes+size, maxSentBytes)
	}
	*history.TraceOf(body) = e.trace
	e.sentBytes += size
	e.sent = append(e.sent, history.Event{ID: e.info.NextID + int32(len(e.sent)), Time: e.info.Now, Body: body})
	return nil
}
