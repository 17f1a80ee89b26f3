package leader

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// What is read is of one moment, although entries are applied between two reads.
func TestInstantReadsOneMoment(t *testing.T) {
	db := openState(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	apply := func(entry int) {
		b := db.NewBatch()
		for i := range 5 {
			if err := b.Set(fmt.Appendf(nil, "k%d", i), fmt.Append(nil, entry), nil); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Set(fmt.Appendf(nil, "new %d", entry), []byte("x"), nil); err != nil {
			t.Fatal(err)
		}
		if err := db.Apply(b, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	get := func(s *instant, key string) string {
		value, err := s.Get([]byte(key))
		if err != nil {
			t.Fatal(err)
		}
		return string(value)
	}
	apply(1)
	for entry := 2; entry < 10; entry++ {
		s := &instant{state: applied{db}}
		want := fmt.Sprint(entry - 1)
		if got := get(s, "k0"); got != want {
			t.Errorf("a new one reads %q, want %q", got, want)
		}
		apply(entry)
		rows := 0
		err := s.Scan([]byte("k1"), []byte("k4"), func(key, value []byte) bool {
			rows++
			if again := get(s, string(key)); string(value) != want || again != want { // a read within a scan does not move it
				t.Errorf("%s is %q, then %q, want %q", key, value, again, want)
			}
			return true
		})
		if err != nil || rows != 3 {
			t.Errorf("%d rows, %v", rows, err)
		}
		for _, key := range []string{fmt.Sprint("new ", entry), "k", "k00", "zzz"} {
			if got := get(s, key); got != "" {
				t.Errorf("%q is %q, and was not there", key, got)
			}
		}
		if err := s.close(); err != nil {
			t.Error(err)
		}
	}
	if err := (&instant{state: applied{db}}).close(); err != nil {
		t.Error(err)
	}
}

// tearing is a state to which an entry is applied after the first read.
type tearing struct {
	pebble.Reader
	apply func()
}

func (s *tearing) Get(key []byte) ([]byte, io.Closer, error) {
	value, closer, err := s.Reader.Get(key)
	if s.apply != nil {
		s.apply()
		s.apply = nil
	}
	return value, closer, err
}

// What is told of an instance is of one entry, also where one is applied meanwhile.
func TestAnInstanceIsReadWhole(t *testing.T) {
	db := openState(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	addr := partition.NewAddress(7, history.DefaultTaskHub, "a")
	set := func(key, value []byte) {
		if err := db.Set(key, value, pebble.NoSync); err != nil {
			t.Fatal(err)
		}
	}
	set(addr.RecordKey(), (&partition.Record{Execution: "e", Status: history.Running, Activities: 1}).Encode())
	set(addr.ActivityKey(0), (&partition.Activity{Execution: "e", Name: "x", Attempt: 1}).Encode())
	state := &tearing{db, func() {
		b := db.NewBatch()
		if err := errors.Join(
			b.Set(addr.RecordKey(), (&partition.Record{Execution: "e", Status: history.Running, Awaits: []string{"go"}}).Encode(), nil),
			b.Delete(addr.ActivityKey(0), nil), b.Commit(pebble.NoSync)); err != nil {
			t.Fatal(err)
		}
	}}
	c := newCore(Config{Partition: 7, Log: stateLog{newFakeLog(db, 1), state}, Logger: slog.New(slog.DiscardHandler)})
	in, err := c.status(StatusRequest{Instance: ref("a")})
	if err != nil || state.apply != nil || !slices.Equal(in.Waiting, []string{`event "go"`}) {
		t.Errorf("waits for %q, %v", in.Waiting, err)
	}
}

// stateLog is a log with another state.
type stateLog struct {
	*fakeLog
	state pebble.Reader
}

func (l stateLog) State() pebble.Reader { return l.state }
