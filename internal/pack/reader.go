package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrMalformed says that bytes are not what a [Writer] wrote.
var ErrMalformed = errors.New("malformed record")

// Reader reads what a [Writer] wrote. After an error all reads return zero; ask
// [Reader.Err] once at the end.
type Reader struct {
	b      []byte
	fields int // that are left in the record
	err    error
}

// NewReader begins to read a record.
func NewReader(value []byte) *Reader {
	r := &Reader{} // on the caller's stack, as this function is inlined
	r.begin(value)
	return r
}

func (r *Reader) begin(value []byte) {
	switch {
	case len(value) < 2:
		r.err = fmt.Errorf("%w: %d bytes", ErrMalformed, len(value))
	case value[0] != Version || value[1] != Flags:
		r.err = fmt.Errorf("%w: version %d, flags %#x; this program knows version %d without flags", ErrMalformed, value[0], value[1], Version)
	default:
		r.b = value[2:]
		r.fields = r.Array()
	}
}

// Err returns the first error.
func (r *Reader) Err() error { return r.err }

// Close returns the first error, or one if bytes are left over.
func (r *Reader) Close() error {
	if r.err == nil && len(r.b) > 0 {
		r.Fail("bytes after the end")
	}
	return r.err
}

// Next counts a field of the record off; it returns false where an older writer
// left the field out.
func (r *Reader) Next() bool {
	if r.err != nil || r.fields == 0 {
		return false
	}
	r.fields--
	return true
}

// Array reads the head of an array and returns its length, which is at most the
// number of bytes that are left.
func (r *Reader) Array() int {
	var n uint64
	switch c := r.byte(); {
	case r.err != nil:
		return 0
	case c&0xf0 == 0x90:
		n = uint64(c & 0x0f)
	case c == 0xdc:
		n = r.uint(2)
	case c == 0xdd:
		n = r.uint(4)
	default:
		r.Fail("no array")
	}
	if n > uint64(len(r.b)) {
		r.Fail("array is longer than the record")
		return 0
	}
	return int(n)
}

// Int reads a whole number.
func (r *Reader) Int() int64 {
	switch c := r.byte(); {
	case r.err != nil:
	case c < 0x80, c >= 0xe0:
		return int64(int8(c))
	case c == 0xcd:
		return int64(r.uint(2))
	case c == 0xce:
		return int64(r.uint(4))
	case c == 0xd3:
		return int64(r.uint(8))
	default:
		r.Fail("no whole number")
	}
	return 0
}

// Float reads a floating-point number.
func (r *Reader) Float() float64 {
	if c := r.byte(); r.err == nil && c != 0xcb {
		r.Fail("no floating-point number")
		return 0
	}
	return math.Float64frombits(r.uint(8))
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	switch r.byte() {
	case 0xc3:
		return true
	case 0xc2:
	default:
		r.Fail("no truth value")
	}
	return false
}

// Time reads a time, in UTC.
func (r *Reader) Time() time.Time { return fromNanos(r.Int()) }

// String reads a text.
func (r *Reader) String() string { return string(r.text()) }

func (r *Reader) text() []byte {
	var n uint64
	switch c := r.byte(); {
	case r.err != nil:
		return nil
	case c&0xe0 == 0xa0:
		n = uint64(c & 0x1f)
	case c == 0xd9:
		n = r.uint(1)
	case c == 0xda:
		n = r.uint(2)
	case c == 0xdb:
		n = r.uint(4)
	default:
		r.Fail("no text")
	}
	return r.take(n)
}

// Binary reads bytes into a slice of their own; nil where they were absent.
func (r *Reader) Binary() []byte {
	b := r.binary()
	if b == nil {
		return nil
	}
	return append(make([]byte, 0, len(b)), b...)
}

func (r *Reader) binary() []byte {
	var n uint64
	switch r.byte() {
	case 0xc0:
		return nil
	case 0xc4:
		n = r.uint(1)
	case 0xc5:
		n = r.uint(2)
	case 0xc6:
		n = r.uint(4)
	default:
		r.Fail("no bytes")
	}
	return r.take(n)
}

// IsNil takes a nil if one is next.
func (r *Reader) IsNil() bool {
	if r.err == nil && len(r.b) > 0 && r.b[0] == 0xc0 {
		r.b = r.b[1:]
		return true
	}
	return false
}

// Skip passes over one value of any form.
func (r *Reader) Skip() {
	for left := 1; left > 0 && r.err == nil; left-- {
		if len(r.b) == 0 {
			r.Fail("record is cut short")
			return
		}
		switch c := r.b[0]; {
		case c&0xf0 == 0x90, c == 0xdc, c == 0xdd:
			left += r.Array()
		case c&0xe0 == 0xa0, c == 0xd9, c == 0xda, c == 0xdb:
			r.text()
		case c == 0xc0, c == 0xc4, c == 0xc5, c == 0xc6:
			r.binary()
		case c == 0xc2, c == 0xc3:
			_ = r.Bool()
		case c == 0xcb:
			_ = r.Float()
		default:
			_ = r.Int()
		}
	}
}

// Fail notes an error of the caller's finding, unless there was one before.
func (r *Reader) Fail(why string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrMalformed, why)
	}
	r.b = nil
}

func (r *Reader) take(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.Fail("record is cut short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *Reader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// uint reads a big-endian number of 1, 2, 4 or 8 bytes.
func (r *Reader) uint(size uint64) uint64 {
	b := r.take(size)
	if b == nil {
		return 0
	}
	var full [8]byte
	copy(full[8-size:], b)
	return binary.BigEndian.Uint64(full[:])
}
