package reprise

import (
	"context"
	"fmt"
	"reflect"

	"github.com/reprise-run/reprise/history"
)

// Codes of errors of the standard library that keep their identity.
var standardErrors = map[string]error{
	"context.canceled":          context.Canceled,
	"context.deadline_exceeded": context.DeadlineExceeded,
}

// systemErrors are the sentinels of failures that the system itself gives.
var systemErrors = map[string]*Error{
	history.FailureTimeout:        ErrTimeout,
	history.FailureOutcomeUnknown: ErrOutcomeUnknown,
	history.FailureTerminated:     ErrTerminated,
	history.FailureCanceled:       ErrCanceled,
	history.FailureExists:         ErrInstanceExists,
	history.FailureTooDeep:        ErrTooDeep,
	history.FailureFlooded:        ErrFlooded,
	history.FailureTooLarge:       ErrTooLarge,
}

// RemoteError is an error that came back from a history: an activity's, or an
// orchestration's. errors.Is and errors.As look into it as they would have where
// it happened, for sentinels made by [NewError] and for types that are a
// [CodedError]. It also is [ErrOutcomeUnknown] where an attempt before the one that
// failed may have acted.
type RemoteError struct {
	failure *history.Failure
	codec   Codec
}

// Failure returns what was recorded. It must not be changed.
func (e *RemoteError) Failure() *history.Failure { return e.failure }

// Error implements error: the text of the original.
func (e *RemoteError) Error() string {
	if e.failure.Type == history.FailurePanic {
		return (&PanicError{Value: e.failure.Message}).Error()
	}
	return e.failure.Message
}

// Is reports whether the original is the sentinel target.
func (e *RemoteError) Is(target error) bool {
	if sentinel, ok := target.(*Error); ok {
		return sentinel.code != "" && sentinel.code == e.failure.Code || sentinel == systemErrors[e.failure.Type] ||
			sentinel == ErrOutcomeUnknown && e.failure.MayHaveActed
	}
	standard := standardErrors[e.failure.Code]
	return standard != nil && standard == target
}

// As fills target if the original was of its type, which is a [CodedError].
func (e *RemoteError) As(target any) bool {
	if p, ok := target.(**PanicError); ok && e.failure.Type == history.FailurePanic {
		*p = &PanicError{Value: e.failure.Message, Stack: e.failure.Stack}
		return true
	}
	if e.failure.Code == "" || e.failure.Data == nil {
		return false
	}
	out := reflect.ValueOf(target).Elem()
	zero, ok := zeroCoded(out.Type())
	if !ok || zero.Interface().(CodedError).ErrorCode() != e.failure.Code {
		return false
	}
	into := reflect.New(out.Type())
	if e.codec.Decode(e.failure.Data, into.Interface()) != nil {
		return false
	}
	out.Set(into.Elem())
	return true
}

// zeroCoded returns a value of t whose ErrorCode can be called.
func zeroCoded(t reflect.Type) (reflect.Value, bool) {
	if !t.Implements(reflect.TypeFor[CodedError]()) || t.Kind() == reflect.Interface {
		return reflect.Value{}, false
	}
	if t.Kind() == reflect.Pointer {
		return reflect.New(t.Elem()), true
	}
	return reflect.Zero(t), true
}

// Unwrap returns what the original wrapped.
func (e *RemoteError) Unwrap() []error {
	inner := make([]error, len(e.failure.Inner))
	for i, f := range e.failure.Inner {
		inner[i] = &RemoteError{f, e.codec}
	}
	return inner
}

// ErrorOf returns the error of a recorded failure; nil for nil.
func ErrorOf(c Codec, f *history.Failure) error {
	if f == nil {
		return nil
	}
	return &RemoteError{f, c}
}

// FailureOf returns what is recorded of err: its text, its code, and what it
// wraps, likewise. A node without a code of its own takes the first code below
// it, so that retry policies see it. What is over the bounds of a failure is left out, see
// [history.Failure.Bounded]. It returns nil for nil.
func FailureOf(c Codec, err error) *history.Failure {
	if err == nil {
		return nil
	}
	return failureOf(c, err, 0).Bounded()
}

func failureOf(c Codec, err error, depth int) *history.Failure {
	switch e := err.(type) {
	case *RemoteError:
		return e.failure
	case *nonRetryable:
		marked := *failureOf(c, e.err, depth)
		marked.NonRetriable = true
		return &marked
	case *PanicError:
		return &history.Failure{Type: history.FailurePanic, Message: e.Value, Stack: e.Stack}
	}
	f := &history.Failure{Type: fmt.Sprintf("%T", err), Message: err.Error()}
	identify(c, f, err)
	if depth == history.MaxFailureDepth {
		return f
	}
	for i, inner := range unwrap(err) {
		if i == history.MaxFailureInner {
			break
		}
		if inner == nil {
			continue
		}
		in := failureOf(c, inner, depth+1)
		f.Inner = append(f.Inner, in)
		f.NonRetriable = f.NonRetriable || in.NonRetriable
		if f.Code == "" {
			f.Code = in.Code
		}
	}
	return f
}

// identify sets the code of err itself, and its value where it has one.
func identify(c Codec, f *history.Failure, err error) {
	for code, standard := range standardErrors {
		if err == standard {
			f.Code = code
		}
	}
	coded, ok := err.(CodedError)
	if !ok {
		return
	}
	f.Code = coded.ErrorCode()
	if _, sentinel := err.(*Error); sentinel {
		return
	}
	if data, encodeErr := c.Encode(err); encodeErr == nil && len(data) <= history.MaxPayloadBytes {
		f.Data = data
	}
}

func unwrap(err error) []error {
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		return e.Unwrap()
	}
	return nil
}
