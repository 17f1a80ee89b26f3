package reprise

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/engine"
)

// Saga undoes what an orchestration has done, if it does not succeed. The zero value is
// an empty one. Defer its Compensate before the first step:
//
//	func fulfil(o *reprise.Orchestration, in Order) (rec Receipt, err error) {
//		var saga reprise.Saga
//		defer saga.Compensate(o, &err)
//		if _, err := reprise.Step(o, &saga, Reserve, Release, in.Item).Await(o); err != nil {
//			return rec, err
//		}
//		return reprise.StepWithOutput(o, &saga, Charge, Refund, in).Await(o)
//	}
type Saga struct{ steps []sagaStep }

// sagaStep is a step, or what was added.
type sagaStep struct {
	what string
	// future is the step's; nil where it is to be undone in any case.
	future *future
	undo   func(o *Orchestration) error
}

// Doer is what can be a step of a [Saga]: an [Activity] or an [Orchestrator].
type Doer[In, Out any] interface {
	do(o *Orchestration, in In) Future[Out]
}

// Undoer is what can undo a step, given an In: an [Activity] or an [Orchestrator] with
// any output.
type Undoer[In any] interface {
	undo(o *Orchestration, in In) error
}

func (a Activity[In, Out]) do(o *Orchestration, in In) Future[Out]     { return a.Start(o, in) }
func (d Orchestrator[In, Out]) do(o *Orchestration, in In) Future[Out] { return d.Start(o, in) }

func (a Activity[In, Out]) undo(o *Orchestration, in In) error {
	_, err := a.Call(o, in)
	return err
}

func (d Orchestrator[In, Out]) undo(o *Orchestration, in In) error {
	_, err := d.Call(o, in)
	return err
}

// Undo is what undoes a step of [StepWithOutput].
type Undo[In, Out any] struct {
	Input In
	// Output is that of the step, if it is Done; otherwise it is not known whether the
	// step was done.
	Output Out
	Done   bool
}

// Step starts a step, to be undone with the step's input. What undoes it must tolerate
// that nothing was done: a step is also undone where nobody knows that (it timed out,
// was cancelled or terminated, panicked, or its error is also [ErrOutcomeUnknown], for
// what an attempt before the last may have done). A step that failed otherwise is not
// undone. Of attempts that the orchestration makes itself ([RetryWith], and any of a
// local activity or a sub-orchestration) the last one counts.
func Step[In, Out any](o *Orchestration, s *Saga, do Doer[In, Out], undo Undoer[In], in In) Future[Out] {
	f := do.do(o, in)
	s.steps = append(s.steps, sagaStep{f.f.what, f.f, func(o *Orchestration) error { return undo.undo(o, in) }})
	return f
}

// StepWithOutput is [Step] for what needs the step's output to undo it.
func StepWithOutput[In, Out any](o *Orchestration, s *Saga, do Doer[In, Out], undo Undoer[Undo[In, Out]], in In) Future[Out] {
	f := do.do(o, in)
	s.steps = append(s.steps, sagaStep{f.f.what, f.f, func(o *Orchestration) error {
		out, err := f.outcome()
		return undo.undo(o, Undo[In, Out]{in, out, err == nil})
	}})
	return f
}

// Add adds something to do if the orchestration does not succeed. what names it in
// errors.
func (s *Saga) Add(what string, undo func(o *Orchestration) error) {
	s.steps = append(s.steps, sagaStep{what: what, undo: undo})
}

// Compensate undoes the steps, newest first, if *err is not nil or the function
// panics; defer it. Steps that are still pending settle before that. It is shielded
// from the cancellation of the orchestration. If a step cannot be undone, the others
// are nevertheless, and a *[CompensationError] is joined to *err. To continue as new is
// no error. Nothing is undone where the orchestration is terminated: its code does not
// run then.
func (s *Saga) Compensate(o *Orchestration, err *error) {
	panicked := recover() // nil while the execution is unloaded
	if panicked == nil && o.succeeds(err) {
		return
	}
	problem := o.Shielded(s.compensate)
	switch {
	case panicked != nil && problem != nil:
		panic(fmt.Errorf("%v; then %w", panicked, problem))
	case panicked != nil:
		panic(panicked)
	case problem != nil:
		*err = errors.Join(*err, problem)
	}
}

// succeeds reports whether the orchestration has succeeded with *err, or continues as new.
// One that was cancelled after it had decided to continue does neither, and *err says so.
func (o *Orchestration) succeeds(err *error) bool {
	var next *continuation
	if errors.As(*err, &next) && next.overtaken(o.root) {
		*err = o.root.err
		return false
	}
	return *err == nil || next != nil
}

func (s *Saga) compensate(o *Orchestration) error {
	steps := s.steps
	s.steps = nil
	for _, step := range steps {
		if f := step.future; f != nil {
			o.wait(func() bool { return f.done })
		}
	}
	var failed CompensationError
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].future != nil && !steps[i].future.mayHaveActed() {
			continue
		}
		if err := undone(o, steps[i]); err != nil {
			failed.Steps = append(failed.Steps, steps[i].what)
			failed.errs = append(failed.errs, fmt.Errorf("undo %s: %w", steps[i].what, err))
		}
	}
	if failed.Steps == nil {
		return nil
	}
	return &failed
}

// undone undoes a step. A panic must not keep the others from being undone.
func undone(o *Orchestration, step sagaStep) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: fmt.Sprint(v), Stack: engine.PanicStack()}
		}
	}()
	return step.undo(o)
}

// mayHaveActed reports whether what the future stands for was done, or nobody knows
// that it was not.
func (f *future) mayHaveActed() bool {
	if !f.begun {
		return false
	}
	var panicked *PanicError
	var payload *PayloadError
	return f.err == nil || errors.As(f.err, &panicked) || errors.As(f.err, &payload) ||
		slices.ContainsFunc(outcomeUnknown, func(end *Error) bool { return errors.Is(f.err, end) })
}

// outcomeUnknown are the errors that do not say whether something was done. The last two
// end a sub-orchestration without its code, whatever that has done.
var outcomeUnknown = []*Error{ErrTimeout, ErrCanceled, ErrTerminated, ErrOutcomeUnknown, ErrTooLarge, ErrFlooded}

// CompensationError says that steps of a [Saga] could not be undone: somebody has to
// look at it. An orchestration that ends with it has failed, also if it was cancelled.
type CompensationError struct {
	// Steps are those that could not be undone, in the order of the attempts.
	Steps []string
	errs  []error
}

// Error implements error.
func (e *CompensationError) Error() string {
	if len(e.errs) == 0 {
		return "could not undo " + strings.Join(e.Steps, ", ")
	}
	return errors.Join(e.errs...).Error()
}

// ErrorCode implements [CodedError].
func (*CompensationError) ErrorCode() string { return "reprise.compensation" }

// Unwrap returns the errors of what should have undone the steps.
func (e *CompensationError) Unwrap() []error { return e.errs }
