package sim

import (
	"math"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/reprise-run/reprise/history"
)

// The checker is a product: each row plants what a broken cluster would answer.
func TestIDModel(t *testing.T) {
	start := func(e string) asked { return asked{actStart, history.ExecutionID(e)} }
	status := asked{action: actStatus}
	terminate := asked{action: actTerminate}
	type op struct {
		from, to int64
		in       asked
		out      answered
	}
	for _, c := range []struct {
		name string
		ops  []op
		ok   bool
	}{
		{"start, status, terminate, start", []op{
			{0, 1, start("a"), answered{}}, {2, 3, status, answered{execution: "a"}},
			{4, 5, terminate, answered{}}, {6, 7, start("b"), answered{}}, {8, 9, status, answered{execution: "b"}}}, true},
		{"two live at once", []op{{0, 1, start("a"), answered{}}, {2, 3, start("b"), answered{}}}, false},
		{"acked start lost", []op{{0, 1, start("a"), answered{}}, {2, 3, status, answered{missing: true}}}, false},
		{"acked terminate lost", []op{{0, 1, start("a"), answered{}}, {2, 3, terminate, answered{}}, {4, 5, status, answered{execution: "a"}}}, false},
		{"refused for nothing", []op{{0, 1, start("a"), answered{refused: true}}}, false},
		{"stale read", []op{{0, 1, start("a"), answered{}}, {2, 3, terminate, answered{}}, {4, 5, start("b"), answered{}},
			{6, 7, status, answered{execution: "a", ended: true}}}, false},
		{"unknown start happened later", []op{{0, math.MaxInt64, start("a"), answered{unknown: true}},
			{1, 2, status, answered{missing: true}}, {3, 4, status, answered{execution: "a"}}}, true},
		{"unknown start never happened", []op{{0, math.MaxInt64, start("a"), answered{unknown: true}}, {1, 2, status, answered{missing: true}}}, true},
		{"unknown start happened and was undone", []op{{0, math.MaxInt64, start("a"), answered{unknown: true}},
			{1, 2, status, answered{execution: "a"}}, {3, 4, status, answered{missing: true}}}, false},
	} {
		var r register
		for i, o := range c.ops {
			r.operations = append(r.operations, porcupine.Operation{ClientId: i, Input: o.in, Call: o.from, Output: o.out, Return: o.to})
		}
		if got := r.check() == ""; got != c.ok {
			t.Errorf("%s: linearizable = %v, want %v", c.name, got, c.ok)
		}
	}
}
