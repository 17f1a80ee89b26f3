package history

import (
	"time"

	"github.com/reprise-run/reprise/internal/pack"
)

// Kinds of events of what callers ask of an orchestration, and of patches.
const (
	KindPatchApplied    Kind = 68
	KindUpdateRequested Kind = 69
	KindUpdateCompleted Kind = 70
)

type (
	// PatchApplied decides that the execution goes the way of a patch from here on.
	PatchApplied struct{ Patch string }

	// UpdateRequested arrives when somebody asks for an update. One that the code
	// refuses is not recorded.
	UpdateRequested struct {
		// Request and Sent are the identity of the caller's request.
		Request string
		Sent    time.Time
		Name    string
		Input   Payload
	}

	// UpdateCompleted decides the reply to an update.
	UpdateCompleted struct {
		Request string
		Sent    time.Time
		Name    string
		Result  Payload
		Failure *Failure // nil if it succeeded
	}
)

// Kind implements Body.
func (*PatchApplied) Kind() Kind    { return KindPatchApplied }
func (*UpdateRequested) Kind() Kind { return KindUpdateRequested }
func (*UpdateCompleted) Kind() Kind { return KindUpdateCompleted }

// Types of failures with which updates are answered that no handler has answered.
const (
	// FailureNoHandler is the type of failures that tell that the code does not handle
	// what it was asked.
	FailureNoHandler = "no-handler"
	// FailureEnded is the type of failures that tell that an orchestration ended before
	// it replied. Where the update is refused with it, the orchestration never took it.
	FailureEnded = "ended"
)

// Unrecorded is an update that arrived in an episode and does not become a part of the
// history.
type Unrecorded struct {
	// Index is its place among what arrived, 0 for the first event behind
	// OrchestratorStarted.
	Index int
	// Failure is why it is refused. Nil: the code ended before it saw the update, which
	// goes to the next execution if there is one.
	Failure *Failure
}

// Empty reports whether the episode came to nothing: all that arrived were updates that
// it refused. Nothing of it is recorded.
func (e Episode) Empty(arrived []Event) bool {
	return len(e.Decided) == 0 && len(e.Unrecorded) > 0 && len(e.Unrecorded) == len(arrived)-1
}

// writeAskedEvent writes the body of an event of this file, and reports whether it is
// one.
func writeAskedEvent(w *pack.Writer, body Body) bool {
	switch b := body.(type) {
	case *PatchApplied:
		w.Array(1)
		w.String(b.Patch)
	case *UpdateRequested:
		w.Array(4)
		w.String(b.Request)
		w.Time(b.Sent)
		w.String(b.Name)
		w.Binary(b.Input)
	case *UpdateCompleted:
		w.Array(5)
		w.String(b.Request)
		w.Time(b.Sent)
		w.String(b.Name)
		w.Binary(b.Result)
		writeFailure(w, b.Failure, 0)
	default:
		return false
	}
	return true
}

// readAskedEvent reads the body of an event of this file; nil where the kind is another.
func readAskedEvent(r *pack.Reader, kind Kind) Body {
	switch kind {
	case KindPatchApplied:
		expect(r, 1)
		return &PatchApplied{Patch: r.String()}
	case KindUpdateRequested:
		expect(r, 4)
		return &UpdateRequested{Request: r.String(), Sent: r.Time(), Name: r.String(), Input: r.Binary()}
	case KindUpdateCompleted:
		expect(r, 5)
		return &UpdateCompleted{Request: r.String(), Sent: r.Time(), Name: r.String(), Result: r.Binary(), Failure: readFailure(r, 0)}
	}
	return nil
}

func writeUnrecorded(w *pack.Writer, all []Unrecorded) {
	w.Array(len(all))
	for _, u := range all {
		w.Array(2)
		w.Int(int64(u.Index))
		writeFailure(w, u.Failure, 0)
	}
}

func readUnrecorded(r *pack.Reader) []Unrecorded {
	var all []Unrecorded
	for n := r.Array(); n > 0 && r.Err() == nil; n-- {
		expect(r, 2)
		all = append(all, Unrecorded{Index: int(r.Int()), Failure: readFailure(r, 0)})
	}
	return all
}
