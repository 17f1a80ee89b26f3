package leader

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// TestViewAgainstMap writes at random through a view, in entries that are
// applied some time later, and compares every read with a plain map.
func TestViewAgainstMap(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	db := openState(t)
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	v := &view{state: applied{db}, rows: map[string]unapplied{}, open: &entry{}, max: 1 << 30}
	want := map[string]string{}
	key := func() string { return fmt.Sprintf("k%02d", rng.IntN(40)) }
	var flight []*entry
	for step := range 4000 {
		switch rng.IntN(10) {
		case 0, 1, 2, 3:
			k, value := key(), fmt.Sprint(step)
			v.Set([]byte(k), []byte(value))
			want[k] = value
		case 4, 5:
			k := key()
			v.Delete([]byte(k))
			delete(want, k)
		case 6:
			from, to := key(), key()
			if from >= to {
				continue
			}
			v.DeleteRange([]byte(from), []byte(to))
			for k := range want {
				if k >= from && k < to {
					delete(want, k)
				}
			}
		case 7:
			flight = append(flight, v.open)
			v.open = &entry{}
		default:
			if len(flight) == 0 {
				continue
			}
			e := flight[0]
			flight = flight[1:]
			b := db.NewBatch()
			if err := b.SetRepr(e.batch.Repr()); err != nil {
				t.Fatal(err)
			}
			if err := db.Apply(b, pebble.NoSync); err != nil {
				t.Fatal(err)
			}
			if rng.IntN(2) == 0 { // applied, and the loop does not know yet
				compare(t, v, want, key(), key())
			}
			v.forget(e)
		}
		compare(t, v, want, key(), key())
	}
	for _, e := range append(flight, v.open) {
		v.forget(e)
	}
	if len(v.rows) > 0 || len(v.gone) > 0 {
		t.Errorf("%d rows and %d ranges are left", len(v.rows), len(v.gone))
	}
}

func compare(t *testing.T, v *view, want map[string]string, from, to string) {
	t.Helper()
	value, err := v.Get([]byte(from))
	if w, ok := want[from]; err != nil || string(value) != w || (value != nil) != ok {
		t.Fatalf("%s is %q %v, want %q", from, value, err, w)
	}
	var got, expected []string
	err = v.Scan([]byte(from), []byte(to), func(key, value []byte) bool {
		got = append(got, string(key)+"="+string(value))
		return len(got) < 7
	})
	for k, w := range want {
		if k >= from && k < to {
			expected = append(expected, k+"="+w)
		}
	}
	sort.Strings(expected)
	expected = expected[:min(7, len(expected))]
	if strings.Join(got, " ") != strings.Join(expected, " ") || err != nil {
		t.Fatalf("%s to %s: %v %v, want %v", from, to, got, err, expected)
	}
}
