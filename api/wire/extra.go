package wire

import (
	"strings"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/reprise-run/reprise/api/durabletask"
)

// text makes an error's text fit for the wire, where a text is UTF-8: a Go
// error's message may be anything.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// extra returns what history has no field for, in wire form: properties of a
// failure, and fields that nobody knows yet.
func extra(m *durabletask.TaskFailureDetails) []byte {
	raw := []byte(m.ProtoReflect().GetUnknown())
	if len(m.GetProperties()) > 0 {
		// A message without unknown fields always marshals: it came from the wire.
		properties, err := proto.MarshalOptions{Deterministic: true}.Marshal(&durabletask.TaskFailureDetails{Properties: m.GetProperties()})
		if err == nil {
			raw = append(properties, raw...)
		}
	}
	if len(raw) == 0 {
		return nil
	}
	return raw
}

// unknown returns the fields of an event that nobody knows yet.
func unknown(m protoreflect.ProtoMessage) []byte {
	if raw := m.ProtoReflect().GetUnknown(); len(raw) > 0 {
		return raw
	}
	return nil
}
