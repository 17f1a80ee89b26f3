package reprise

import (
	"crypto/sha256"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

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
