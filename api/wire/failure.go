package wire

import (
	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
)

// FromFailure returns the wire form of a failure; nil stays nil.
func FromFailure(f *history.Failure) *durabletask.TaskFailureDetails {
	if f == nil {
		return nil
	}
	m := &durabletask.TaskFailureDetails{
		ErrorType:      text(f.Type),
		ErrorMessage:   text(f.Message),
		IsNonRetriable: f.NonRetriable,
		Code:           text(f.Code),
		Data:           FromPayload(f.Data),
		MayHaveActed:   f.MayHaveActed,
	}
	if f.Stack != "" {
		m.StackTrace = FromText(text(f.Stack))
	}
	for i, inner := range f.Inner {
		if i == 0 {
			m.InnerFailure = FromFailure(inner)
		} else {
			m.MoreInnerFailures = append(m.MoreInnerFailures, FromFailure(inner))
		}
	}
	m.ProtoReflect().SetUnknown(f.Extra)
	return m
}

// Failure is the inverse of [FromFailure].
func Failure(m *durabletask.TaskFailureDetails) *history.Failure {
	if m == nil {
		return nil
	}
	f := &history.Failure{
		Type:         m.GetErrorType(),
		Code:         m.GetCode(),
		Message:      m.GetErrorMessage(),
		Stack:        m.GetStackTrace().GetValue(),
		NonRetriable: m.GetIsNonRetriable(),
		Data:         Payload(m.GetData()),
		MayHaveActed: m.GetMayHaveActed(),
		Extra:        extra(m),
	}
	if m.InnerFailure != nil {
		f.Inner = append(f.Inner, Failure(m.InnerFailure))
	}
	for _, inner := range m.GetMoreInnerFailures() {
		f.Inner = append(f.Inner, Failure(inner))
	}
	return f
}
