package history_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/reprise-run/reprise/history"
)

// chain is a failure that wraps another one, and so on.
func chain(length int, f history.Failure) *history.Failure {
	for inner := f; length > 1; length-- {
		below := f
		f = inner
		f.Inner = []*history.Failure{&below}
	}
	return &f
}

func shape(f *history.Failure) (depth, nodes int) {
	for _, inner := range f.Inner {
		d, n := shape(inner)
		depth, nodes = max(depth, d), nodes+n
	}
	return depth + 1, nodes + 1
}

func TestBoundedFailure(t *testing.T) {
	wide := func(inner *history.Failure) *history.Failure {
		f := &history.Failure{Message: "joined"}
		for range 1000 {
			f.Inner = append(f.Inner, inner)
		}
		return f
	}
	long := strings.Repeat("é", 1<<20)
	for name, c := range map[string]struct {
		f     *history.Failure
		depth int
		nodes int // at most; 0: as deep
		code  string
	}{
		"long texts":  {&history.Failure{Type: long, Message: long, Stack: long, Code: "mine"}, 1, 0, "mine"},
		"a long code": {&history.Failure{Message: "m", Code: long}, 1, 0, ""},
		"deep":        {chain(10_000, history.Failure{Message: "m", Code: "mine"}), 33, 0, "mine"},
		"long, deep":  {chain(1000, history.Failure{Message: long, Code: "mine"}), 30, 0, "mine"},
		"wide":        {wide(wide(wide(wide(&history.Failure{Message: "m"})))), 5, history.MaxFailureTextBytes / 64, ""},
		"much data":   {wide(&history.Failure{Data: make(history.Payload, history.MaxPayloadBytes/2)}), 2, 33, ""},
		"large data":  {&history.Failure{Data: make(history.Payload, history.MaxPayloadBytes+1)}, 1, 0, ""},
	} {
		got := c.f.Bounded()
		depth, nodes := shape(got)
		if most := max(c.nodes, c.depth); depth > c.depth || depth < c.depth/2 || nodes > most {
			t.Errorf("%s: %d deep, %d nodes; want %d, and %d at most", name, depth, nodes, c.depth, most)
		}
		if got.Code != c.code || !utf8.ValidString(got.Message) || got.Bytes() > history.MaxFailureTextBytes+history.MaxPayloadBytes {
			t.Errorf("%s: code %q, %d bytes", name, got.Code, got.Bytes())
		}
	}
}

func TestSmallFailureIsKept(t *testing.T) {
	f := chain(33, history.Failure{Type: "t", Code: "c", Message: strings.Repeat("m", 1000), Stack: "s", NonRetriable: true, Data: history.Payload("1"), Extra: []byte("x")})
	if got := f.Bounded(); !reflect.DeepEqual(got, f) {
		t.Errorf("%+v, want %+v", got, f)
	}
	if got := (*history.Failure)(nil).Bounded(); got != nil || got.Bytes() != 0 {
		t.Errorf("nil is bounded to %+v", got)
	}
}
