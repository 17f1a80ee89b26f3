package reprise

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// Orchestrator is the contract of an orchestration: its durable name and its
// types.
type Orchestrator[In, Out any] struct{ name, version string }

// NewOrchestration returns a descriptor.
func NewOrchestration[In, Out any](name string) Orchestrator[In, Out] {
	return Orchestrator[In, Out]{name: name}
}

// Name returns the durable name.
func (d Orchestrator[In, Out]) Name() string { return d.name }

// bind implements Descriptor.
func (d Orchestrator[In, Out]) bind(r *Registry, fn func(*Orchestration, In) (Out, error)) error {
	_, taken := r.orchestrators[d.name]
	if d.version != "" {
		taken = r.versionTaken(d.name, d.version)
	}
	if err := checkBinding[In, Out](r, "orchestration", d.name, fn == nil, taken); err != nil {
		return err
	}
	run := intercepted(r.aroundOrchestrators, overPayloads(r.codec, fmt.Sprintf("orchestration %q", d.name),
		func(c *OrchestrationCall, in In) (Out, error) { return fn(c.Orchestration, in) }))
	program := func(h *engine.Handle) (history.Payload, *history.Failure) {
		o := newOrchestration(h, r)
		output, err := run(&OrchestrationCall{o}, h.Started().Input)
		var next *continuation
		if errors.As(err, &next) && o.scope.err != nil && !next.shielded {
			err, next = o.scope.err, nil // it was cancelled after it had decided that
		}
		if next != nil {
			h.ContinueAsNew(next.input, next.version)
			return nil, nil
		}
		if err != nil {
			var notUndone *CompensationError
			if o.scope.err != nil && errors.Is(err, ErrCanceled) && !errors.As(err, &notUndone) {
				h.EndCanceled()
			}
			return nil, FailureOf(r.codec, err)
		}
		return output, nil
	}
	if d.version != "" {
		r.bindVersion(d.name, d.version, program)
	} else {
		r.orchestrators[d.name] = program
	}
	return nil
}

// InstanceID names an instance in its task hub. It is a string: constants need no
// conversion, and a variable is converted by InstanceID(text).
type InstanceID = history.InstanceID

// Orchestration is what an orchestrator runs with: its own goroutine uses it, and
// only until the function returns. It is not a context.Context. It stands for a scope
// of the orchestration, which can be cancelled: see [Orchestration.Scope].
type Orchestration struct {
	*running
	scope *scope
}

// running is what all scopes of an orchestration share.
type running struct {
	h     *engine.Handle
	codec Codec
	log   *slog.Logger
	seed  [sha256.Size]byte
	ids   uint64
	rand  *rand.Rand
	// root is the scope of the whole orchestration.
	root *scope
	// settled counts the futures that settled, to know their order.
	settled int
	// section is the critical section that it is in, or waits for; nil: none.
	section *Section
}

func newOrchestration(h *engine.Handle, r *Registry) *Orchestration {
	started := h.Started()
	root := newScope(nil)
	o := &Orchestration{&running{h: h, codec: r.codec, seed: sha256.Sum256([]byte(started.ExecutionID)), root: root}, root}
	if !started.Deadline.IsZero() {
		h.CreateTimer(started.Deadline, func(*engine.Promise) {
			root.cancel(&CanceledError{Reason: "the orchestration's time is over", cause: ErrTimeout})
		})
	}
	h.OnCancel(func(reason string) { root.cancel(&CanceledError{Reason: reason}) })
	logger := r.logger
	if logger == nil {
		logger = slog.Default()
	}
	o.log = slog.New(&replayHandler{h, logger.Handler()}).With(
		"orchestration", started.Name, "instance", string(h.Identity().Instance), "execution", string(started.ExecutionID))
	return o
}

// InstanceID returns the ID of the instance.
func (o *Orchestration) InstanceID() InstanceID { return o.h.Identity().Instance }

// ExecutionID returns the ID of this generation of the instance.
func (o *Orchestration) ExecutionID() history.ExecutionID { return o.h.Started().ExecutionID }

// TaskHub returns the task hub of the instance.
func (o *Orchestration) TaskHub() history.TaskHub { return o.h.Identity().Hub }

// Now returns the time of the partition's clock when the events arrived that the
// orchestrator runs on at present. It is the same on replay.
func (o *Orchestration) Now() time.Time { return o.h.Now() }

// NewID returns a new unique ID, a UUID as text. It is the same on replay.
func (o *Orchestration) NewID() string {
	o.h.Look("make an ID")
	o.ids++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(o.seed[:], o.ids))
	return uuid(sum[:16], 8) // made in our own way
}

// uuid makes the text of a UUID of 16 bytes, which it changes.
func uuid(id []byte, version byte) string {
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// Rand returns a source of random numbers that gives the same ones on replay. It
// is not for secrets.
func (o *Orchestration) Rand() *rand.Rand {
	if o.rand == nil {
		o.rand = rand.New(guarded{o.h, rand.NewChaCha8(o.seed)})
	}
	return o.rand
}

// guarded is a source that queries may not draw from: what they drew would be missing
// on replay.
type guarded struct {
	h      *engine.Handle
	source rand.Source
}

func (g guarded) Uint64() uint64 {
	g.h.Look("draw a random number")
	return g.source.Uint64()
}

// Log returns a logger that is silent on replay, so each line appears once unless
// a crash comes between. Its lines tell the instance.
func (o *Orchestration) Log() *slog.Logger { return o.log }

// SetCustomStatus sets the value that a status query of the instance shows from
// the end of this episode on. The error is a *[PayloadError].
func (o *Orchestration) SetCustomStatus(v any) error {
	p, err := EncodePayload(o.codec, "custom status", v)
	if err != nil {
		return err
	}
	o.h.SetCustomStatus(p)
	return nil
}

// Timer returns a future that settles after d.
func (o *Orchestration) Timer(d time.Duration) Future[None] {
	f := o.promise("timer")
	if f.done {
		return Future[None]{f}
	}
	p := o.h.CreateTimer(o.Now().Add(max(d, 0)), func(*engine.Promise) { f.settle(nil, nil) })
	f.cancel = func(reason string) { o.h.Cancel(p, reason) }
	return Future[None]{f}
}

// Sleep waits for d. The wait is durable: it goes on when nodes come and go. The error
// is nil, or the *[CanceledError] that ended the wait early.
func (o *Orchestration) Sleep(d time.Duration) error {
	_, err := o.Timer(d).Await(o)
	return err
}

func (o *Orchestration) wait(ready func() bool) { o.h.Wait(ready) }

// replayHandler drops records while the orchestration is replayed or unloaded.
type replayHandler struct {
	h    *engine.Handle
	next slog.Handler
}

func (r *replayHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return !r.h.Quiet() && r.next.Enabled(ctx, level)
}

func (r *replayHandler) Handle(ctx context.Context, record slog.Record) error {
	if r.h.Quiet() {
		return nil
	}
	return r.next.Handle(ctx, record)
}

func (r *replayHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &replayHandler{r.h, r.next.WithAttrs(attrs)}
}

func (r *replayHandler) WithGroup(name string) slog.Handler {
	return &replayHandler{r.h, r.next.WithGroup(name)}
}
