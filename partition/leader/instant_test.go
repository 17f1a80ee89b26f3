package leader

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
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
		s := &instant{state: db}
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
	if err := (&instant{state: db}).close(); err != nil {
		t.Error(err)
	}
}
