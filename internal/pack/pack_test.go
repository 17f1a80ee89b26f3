package pack

import (
	"bytes"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// What the writer writes, the msgpack library reads: the records are plain
// msgpack behind two bytes.
func TestWriterIsMsgpack(t *testing.T) {
	w := NewWriter(0, 7)
	w.Int(-1)
	w.Int(math.MaxInt64)
	w.Float(1.5)
	w.Bool(true)
	w.Nil()
	w.String("héllo")
	w.Binary([]byte{1, 2})
	var got []any
	if err := msgpack.Unmarshal(w.Bytes()[2:], &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 || got[5] != "héllo" || got[2] != 1.5 || got[4] != nil || !bytes.Equal(got[6].([]byte), []byte{1, 2}) {
		t.Errorf("library reads %v", got)
	}
}

func FuzzRoundTrip(f *testing.F) {
	f.Add(int64(0), 0.0, false, "", []byte(nil))
	f.Add(int64(-33), 1.25, true, string(make([]byte, 300)), make([]byte, 70_000))
	f.Add(int64(math.MinInt64), math.Inf(1), true, string(make([]byte, 70_000)), []byte{})
	f.Add(int64(65_536), math.Copysign(0, -1), true, "x", []byte{0})
	f.Fuzz(func(t *testing.T, i int64, fl float64, b bool, s string, raw []byte) {
		if math.IsNaN(fl) {
			t.Skip("not equal to itself")
		}
		w := NewWriter(16, 6)
		w.Int(i)
		w.Float(fl)
		w.Bool(b)
		w.String(s)
		w.Binary(raw)
		w.Time(fromNanos(i))
		r := NewReader(w.Bytes())
		for range 6 {
			if !r.Next() {
				t.Fatal("a field is missing")
			}
		}
		if r.Next() {
			t.Error("a field too many")
		}
		if got := r.Int(); got != i {
			t.Errorf("int %d, want %d", got, i)
		}
		if got := r.Float(); got != fl {
			t.Errorf("float %v, want %v", got, fl)
		}
		if got := r.Bool(); got != b {
			t.Errorf("bool %v", got)
		}
		if got := r.String(); got != s {
			t.Errorf("string %q, want %q", got, s)
		}
		if got := r.Binary(); !bytes.Equal(got, raw) || (got == nil) != (raw == nil) {
			t.Errorf("bytes %v, want %v", got, raw)
		}
		if got := r.Time(); i > -math.MaxInt64/2 && i < math.MaxInt64/2 && !got.Equal(fromNanos(i)) {
			t.Errorf("time %v, want %v", got, fromNanos(i))
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		for cut := range min(len(w.Bytes()), 64) {
			short := NewReader(w.Bytes()[:cut])
			for range 6 {
				short.Skip()
			}
			if short.Err() == nil {
				t.Errorf("record cut at %d reads without an error", cut)
			}
		}
	})
}

func FuzzReaderSurvives(f *testing.F) {
	f.Add([]byte{Version, Flags, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{Version, Flags, 0x91, 0xc6, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := NewReader(b)
		for r.Next() {
			r.Skip()
		}
		if err := r.Close(); err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("error without identity: %v", err)
		}
	})
}

func TestTimes(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 1).UTC(), time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)} {
		w := NewWriter(0, 1)
		w.Time(at)
		if got := NewReader(w.Bytes()); !got.Next() || !got.Time().Equal(at) {
			t.Errorf("time %v does not come back", at)
		}
	}
}
