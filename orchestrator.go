package reprise

import (
	"errors"
	"fmt"

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
	if err := checkVersion(d.version); err != nil {
		return fmt.Errorf("bind orchestration %q: %w", d.name, err)
	}
	run := intercepted(r.aroundOrchestrators, overPayloads(r.codec, fmt.Sprintf("orchestration %q", d.name),
		func(c *OrchestrationCall, in In) (Out, error) { return fn(c.Orchestration, in) }))
	program := func(h *engine.Handle) (history.Payload, *history.Failure) {
		o := newOrchestration(h, r)
		output, err := run(&OrchestrationCall{o}, h.Started().Input)
		var next *continuation
		if errors.As(err, &next) && next.overtaken(o.root) {
			err, next = o.root.err, nil
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
