package reprise

import (
	"encoding/json"
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// Codec turns values into payloads and back. It is safe for concurrent use, and
// it encodes equal values the same way on every node.
type Codec interface {
	// Encode returns the payload of v.
	Encode(v any) ([]byte, error)
	// Decode stores the payload in the value that v points to.
	Decode(data []byte, v any) error
}

// JSON is the default [Codec].
var JSON Codec = jsonCodec{}

type jsonCodec struct{}

func (jsonCodec) Encode(v any) ([]byte, error) { return json.Marshal(v) }

// Decode takes an empty payload for none: that is how some SDKs send no value.
func (jsonCodec) Decode(data []byte, v any) error {
	if len(data) == 0 {
		return nil
	}
	return json.Unmarshal(data, v)
}

// None is the input or output of what has none. Its payload is absent.
type None struct{}

// Raw is a payload as it is: it passes the codec untouched. With it, activities
// and orchestrations are bound and called by name, without their types:
//
//	reprise.NewActivity[reprise.Raw, reprise.Raw](name).Call(o, reprise.Raw(`{"a":1}`))
type Raw []byte

// A PayloadError says that a value cannot be a payload, or a payload not a value.
type PayloadError struct {
	What string // whose value: `input of activity "card.charge"`
	Err  error
}

// Error implements error.
func (e *PayloadError) Error() string { return e.What + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *PayloadError) Unwrap() error { return e.Err }

// ErrorCode implements [CodedError].
func (*PayloadError) ErrorCode() string { return "reprise.payload" }

// ErrTooLarge says that a payload is larger than [history.MaxPayloadBytes].
var ErrTooLarge = NewError("reprise.too_large", "payload is too large")

// overPayloads makes of a bound function one that takes and returns payloads; what names
// it in errors. A value that is no payload, or the other way round, is so at each attempt.
func overPayloads[By, In, Out any](c Codec, what string, fn func(By, In) (Out, error)) func(By, history.Payload) (history.Payload, error) {
	inputName, outputName := "input of "+what, "output of "+what
	return func(by By, input history.Payload) (history.Payload, error) {
		in, err := DecodePayload[In](c, inputName, input)
		if err != nil {
			return nil, NonRetryable(err)
		}
		out, err := fn(by, in)
		if err != nil {
			return nil, err
		}
		output, err := EncodePayload(c, outputName, out)
		return output, NonRetryable(err)
	}
}

// EncodePayload encodes v, which what names in errors. The error is a
// *[PayloadError]; it wraps [ErrTooLarge] where v is over the limit.
func EncodePayload(c Codec, what string, v any) (history.Payload, error) {
	var data []byte
	switch v := v.(type) {
	case None:
		return nil, nil
	case Raw:
		data = v
	default:
		var err error
		if data, err = c.Encode(v); err != nil {
			return nil, &PayloadError{what, fmt.Errorf("encode %T: %w", v, err)}
		}
		if data == nil {
			data = []byte{} // a value that a codec makes nothing of is there all the same
		}
	}
	if len(data) > history.MaxPayloadBytes {
		return nil, &PayloadError{what, fmt.Errorf("%w: %d bytes; at most %d (%d MiB) are allowed: keep it elsewhere, and hand on where it is", ErrTooLarge, len(data), history.MaxPayloadBytes, history.MaxPayloadBytes>>20)}
	}
	return data, nil
}

// DecodePayload decodes p as a T. An absent payload is the zero value. The error
// is a *[PayloadError].
func DecodePayload[T any](c Codec, what string, p history.Payload) (T, error) {
	var v T
	if p == nil {
		return v, nil
	}
	switch v := any(&v).(type) {
	case *None:
	case *Raw:
		*v = Raw(p)
	default:
		if err := c.Decode(p, v); err != nil {
			return *new(T), &PayloadError{what, fmt.Errorf("decode %T: %w", *new(T), err)}
		}
	}
	return v, nil
}
