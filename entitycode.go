package reprise

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"time"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

// DeleteOperation is the operation that every entity has: it deletes the entity, unless a
// function is bound to the name.
const DeleteOperation = "delete"

// ErrNoOperation: the entity has no operation of that name where it runs.
var ErrNoOperation = NewError("reprise.no_operation", "the entity has no such operation")

// EntityCode is the code of an entity, for whoever runs it: the operations that are bound
// to its name, from payload to payload.
type EntityCode struct {
	name   string
	codec  Codec
	logger *slog.Logger
	around []EntityInterceptor // the outermost first
	state  reflect.Type
	// decode makes a value of the state's type, encode its payload.
	decode     func(history.Payload) (any, error)
	encode     func(any) (history.Payload, error)
	operations map[string]OperationHandler // by name in lower case
}

func newEntityCode[State any](r *Registry, name string) *EntityCode {
	what := fmt.Sprintf("state of entity %q", name)
	return &EntityCode{
		name: name, codec: r.codec, logger: r.logger, around: r.aroundEntities, state: reflect.TypeFor[State](), operations: map[string]OperationHandler{},
		decode: func(p history.Payload) (any, error) {
			s, err := DecodePayload[State](r.codec, what, p)
			return &s, err
		},
		encode: func(s any) (history.Payload, error) { return EncodePayload(r.codec, what, *s.(*State)) },
	}
}

// EntityInfo says which entity runs, and when.
type EntityInfo struct {
	Hub       history.TaskHub
	Entity    history.InstanceID
	Execution history.ExecutionID // its present life
	Now       time.Time
	NextID    int32 // of its next decision
	// Crowded are the entities that have no room for more operations, sorted.
	Crowded []history.InstanceID
}

// EntityRun is a run over the operations of one entity. The state is decoded once, and
// again after an operation that failed. It is not safe for concurrent use.
type EntityRun struct {
	code  *EntityCode
	info  EntityInfo
	value any // of the state, as a pointer; nil: it is to be decoded
	batch history.Batch
	bytes int // of results, and of what is sent
}

// Begin begins a run; state is nil where the entity does not exist.
func (c *EntityCode) Begin(info EntityInfo, state history.Payload) *EntityRun {
	return &EntityRun{code: c, info: info, batch: history.Batch{State: state}}
}

// Batch returns what the operations of the run did.
func (r *EntityRun) Batch() history.Batch { return r.batch }

// Full reports whether no further operation should begin in this run, because what it has
// to record is large. One operation adds at most its result and what [EntityContext] lets
// it send.
func (r *EntityRun) Full() bool { return r.bytes >= maxRunBytes || len(r.batch.Decided) >= maxSent }

const maxRunBytes = 4 << 20

// Do runs an operation. Its result is in [EntityRun.Batch], also where it panics or ends
// the goroutine (runtime.Goexit); then Do does not return. The trace is that of the
// operation; zero: it is not traced.
func (r *EntityRun) Do(operation string, trace history.Trace, input history.Payload) {
	e := &EntityContext{
		codec: r.code.codec, logger: r.code.logger, info: r.info, operation: operation, trace: trace,
		exists: r.batch.State != nil, state: r.batch.State,
	}
	if e.logger == nil {
		e.logger = slog.Default()
	}
	var result history.Payload
	err, returned := error(nil), false
	defer func() {
		e.over = true
		switch v := recover(); {
		case v != nil:
			err = &PanicError{Value: fmt.Sprint(v), Stack: engine.PanicStack()}
		case !returned:
			err = &PanicError{Value: "the operation called runtime.Goexit"}
		}
		r.settle(e, result, err)
	}()
	result, err = intercepted(r.code.around, r.try)(e, input)
	returned = true
}

// try runs the user's code and returns its result. Where it fails or panics, everything
// is as it was before: whoever stands around it may try again.
func (r *EntityRun) try(e *EntityContext, input history.Payload) (result history.Payload, err error) {
	before, happened := *e, false
	defer func() {
		if !happened {
			e.state, e.deleted, e.sent, e.sentBytes = before.state, before.deleted, before.sent, before.sentBytes
			r.value = nil
		}
	}()
	if result, err = r.call(e, input); err != nil {
		return nil, err
	}
	happened = true
	return result, nil
}

// call calls the function that is bound to the operation, and notes the state after it.
func (r *EntityRun) call(e *EntityContext, input history.Payload) (result history.Payload, err error) {
	fn := r.code.operations[strings.ToLower(e.operation)]
	switch {
	case fn == nil && strings.EqualFold(e.operation, DeleteOperation):
		e.deleted = true
		return nil, nil
	case fn == nil:
		return nil, NonRetryable(fmt.Errorf("%w: %q of entity %q", ErrNoOperation, e.operation, r.code.name))
	}
	if r.value == nil {
		if r.value, err = r.code.decode(e.state); err != nil {
			return nil, NonRetryable(err)
		}
	}
	e.value = r.value
	if result, err = fn(e, input); err != nil || e.deleted {
		return result, err
	}
	e.state, err = r.code.encode(r.value)
	return result, NonRetryable(err)
}

// settle takes in how an operation ended. One that failed leaves nothing.
func (r *EntityRun) settle(e *EntityContext, result history.Payload, err error) {
	if err != nil {
		r.value = nil
		failure := FailureOf(r.code.codec, err)
		r.batch.Results = append(r.batch.Results, history.OperationResult{Failure: failure})
		r.bytes += failure.Bytes()
		return
	}
	r.batch.Results = append(r.batch.Results, history.OperationResult{Result: result})
	r.batch.Decided = append(r.batch.Decided, e.sent...)
	r.info.NextID += int32(len(e.sent))
	r.bytes += len(result) + e.sentBytes
	switch {
	case e.deleted || e.state == nil:
		r.value = nil
		r.batch.State = nil
	case !bytes.Equal(e.state, r.batch.State) || r.batch.State == nil:
		r.batch.State = e.state
	}
}
