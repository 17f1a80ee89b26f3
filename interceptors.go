package reprise

import (
	"context"
	"errors"

	"github.com/reprise-run/reprise/history"
)

// OrchestratorFunc is an orchestrator as interceptors see it: payloads in, payloads
// out.
type OrchestratorFunc func(c *OrchestrationCall, input history.Payload) (history.Payload, error)

// OrchestratorInterceptor is middleware around orchestrators: it returns a function
// that does something before and after it calls next, or instead.
//
//	func audit(next reprise.OrchestratorFunc) reprise.OrchestratorFunc {
//		return func(c *reprise.OrchestrationCall, input history.Payload) (history.Payload, error) {
//			c.OnDecision(func(b history.Body) { … })
//			output, err := next(c, input)
//			c.Once(func() { … })
//			return output, err
//		}
//	}
//
// It is a part of the orchestrator: it is run again on replay, must decide the same
// then, and what it decides (it may call activities, or wait) is recorded; to add or
// remove such a decision is a change of the orchestrator. A panic in it is one of the
// orchestrator. While an execution is unloaded, next does not return; deferred
// functions run. An orchestrator that continues as new returns an error, see
// [IsContinueAsNew], which an interceptor hands on.
type OrchestratorInterceptor func(next OrchestratorFunc) OrchestratorFunc

// ActivityHandler is an activity as interceptors see it. [Attempt] tells which one.
type ActivityHandler func(ctx context.Context, input history.Payload) (history.Payload, error)

// ActivityInterceptor is middleware around activities. It runs with each attempt. A
// panic in it is one of the activity.
type ActivityInterceptor func(next ActivityHandler) ActivityHandler

// OperationHandler is an operation of an entity as interceptors see it; the entity's state
// is not shown. The context tells which operation it is.
type OperationHandler func(e *EntityContext, input history.Payload) (history.Payload, error)

// EntityInterceptor is middleware around the operations of entities, the operation
// "delete" that every entity has and one that nobody bound included. It is a part of the
// operation: what it sends leaves if the operation succeeds, and what it returns is how
// the operation ends. A panic in it is one of the operation. It runs whenever the operation
// does: again where the run before was not recorded.
//
// When next returns an error or panics, the state is what it was before next was called,
// and nothing that it sent leaves, also where the interceptor makes a success of that or
// calls next again.
type EntityInterceptor func(next OperationHandler) OperationHandler

// WithOrchestratorInterceptor adds middleware around all orchestrators of the
// registry; what is added first is outermost.
func WithOrchestratorInterceptor(all ...OrchestratorInterceptor) RegistryOption {
	return func(r *Registry) { r.aroundOrchestrators = append(r.aroundOrchestrators, all...) }
}

// WithActivityInterceptor adds middleware around all activities of the registry; what
// is added first is outermost.
func WithActivityInterceptor(all ...ActivityInterceptor) RegistryOption {
	return func(r *Registry) { r.aroundActivities = append(r.aroundActivities, all...) }
}

// WithEntityInterceptor adds middleware around all operations of the registry's entities;
// what is added first is outermost.
func WithEntityInterceptor(all ...EntityInterceptor) RegistryOption {
	return func(r *Registry) { r.aroundEntities = append(r.aroundEntities, all...) }
}

// intercepted puts middleware around a function, the first outermost.
func intercepted[F any, I ~func(F) F](all []I, fn F) F {
	for i := len(all) - 1; i >= 0; i-- {
		fn = all[i](fn)
	}
	return fn
}

// OrchestrationCall is one run of an orchestrator as interceptors see it. They may do
// with it what the orchestrator can, and a little more.
type OrchestrationCall struct{ *Orchestration }

// Name returns the durable name of the orchestrator.
func (c *OrchestrationCall) Name() string { return c.h.Started().Name }

// Version returns the version with which the instance was started.
func (c *OrchestrationCall) Version() string { return c.h.Started().Version }

// Trace returns the trace of the execution, a span of its own that is the same on every
// replay; zero where the start carried none.
func (c *OrchestrationCall) Trace() history.Trace {
	return c.h.Started().Trace.Execution(c.ExecutionID())
}

// Once calls fn, unless the code is being replayed or unloaded: so what fn does
// happens once, or again after a crash in the same episode. fn is for telling others
// (counting, logging); what it finds must not change what the orchestrator does.
func (c *OrchestrationCall) Once(fn func()) {
	if !c.h.Quiet() {
		fn()
	}
}

// OnDecision lets fn see everything that the orchestrator decides from now on, each
// before it is decided: a *[history.TaskScheduled], a *[history.TimerCreated], a
// *[history.SubOrchestrationInstanceCreated], and so on. fn may set the tags of
// what is started, and the trace of what is started, asked or sent; that is recorded, so
// fn does the same on replay. It must decide nothing itself.
func (c *OrchestrationCall) OnDecision(fn func(history.Body)) { c.h.OnDecision(fn) }

// IsContinueAsNew reports whether the error that an orchestrator returned says that
// it continues as new.
func IsContinueAsNew(err error) bool {
	var next *continuation
	return errors.As(err, &next)
}
