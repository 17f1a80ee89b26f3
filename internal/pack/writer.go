package pack

import (
	"encoding/binary"
	"math"
	"time"
)

// Version is the version byte of every record that this program writes.
const Version = 1

// Flags is the flags byte: nothing is compressed or encrypted.
const Flags = 0

// Writer appends msgpack values to a byte slice.
type Writer struct{ b []byte }

// NewWriter begins a record that is an array of so many fields. size is how
// many bytes to reserve.
func NewWriter(size, fields int) *Writer {
	w := &Writer{b: append(make([]byte, 0, size), Version, Flags)}
	w.Array(fields)
	return w
}

// Bytes returns what was written.
func (w *Writer) Bytes() []byte { return w.b }

// Array begins an array of n values.
func (w *Writer) Array(n int) {
	switch {
	case n < 16:
		w.b = append(w.b, 0x90|byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, 0xdc), uint16(n))
	default:
		w.b = binary.BigEndian.AppendUint32(append(w.b, 0xdd), uint32(n))
	}
}

// Int writes a whole number.
func (w *Writer) Int(v int64) {
	switch {
	case v >= -32 && v < 128:
		w.b = append(w.b, byte(v))
	case v >= 0 && v <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, 0xcd), uint16(v))
	case v >= 0 && v <= math.MaxUint32:
		w.b = binary.BigEndian.AppendUint32(append(w.b, 0xce), uint32(v))
	default:
		w.b = binary.BigEndian.AppendUint64(append(w.b, 0xd3), uint64(v))
	}
}

// Float writes a floating-point number.
func (w *Writer) Float(v float64) {
	w.b = binary.BigEndian.AppendUint64(append(w.b, 0xcb), math.Float64bits(v))
}

// Bool writes a truth value.
func (w *Writer) Bool(v bool) {
	if v {
		w.b = append(w.b, 0xc3)
	} else {
		w.b = append(w.b, 0xc2)
	}
}

// Nil writes the absence of a value.
func (w *Writer) Nil() { w.b = append(w.b, 0xc0) }

// Time writes a time in nanoseconds since 1970, clamped to what fits; the zero
// time is 0.
func (w *Writer) Time(t time.Time) { w.Int(nanos(t)) }

// String writes a text.
func (w *Writer) String(s string) {
	switch n := len(s); {
	case n < 32:
		w.b = append(w.b, 0xa0|byte(n))
	case n <= math.MaxUint8:
		w.b = append(w.b, 0xd9, byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, 0xda), uint16(n))
	default:
		w.b = binary.BigEndian.AppendUint32(append(w.b, 0xdb), uint32(n))
	}
	w.b = append(w.b, s...)
}

// Binary writes bytes; nil is written as absent.
func (w *Writer) Binary(v []byte) {
	switch n := len(v); {
	case v == nil:
		w.Nil()
		return
	case n <= math.MaxUint8:
		w.b = append(w.b, 0xc4, byte(n))
	case n <= math.MaxUint16:
		w.b = binary.BigEndian.AppendUint16(append(w.b, 0xc5), uint16(n))
	default:
		w.b = binary.BigEndian.AppendUint32(append(w.b, 0xc6), uint32(n))
	}
	w.b = append(w.b, v...)
}

// The first and the last time that nanoseconds in 64 bits can tell.
var (
	firstTime = time.Unix(0, math.MinInt64)
	lastTime  = time.Unix(0, math.MaxInt64)
)

func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.After(lastTime):
		return math.MaxInt64
	case t.Before(firstTime):
		return math.MinInt64
	}
	return t.UnixNano()
}

func fromNanos(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
