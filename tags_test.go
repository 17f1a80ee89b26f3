package reprise_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

// An orchestrator changes its tags, sees what it changed, and finds it again when it has
// continued as new.
func TestTags(t *testing.T) {
	r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		if n == 1 {
			return fmt.Sprint(o.Tags()), nil
		}
		if err := o.SetTag("stage", "paid"); err != nil {
			return nil, err
		}
		o.Tags()["stage"] = "a copy"
		if _, err := double.Call(o, n); err != nil {
			return nil, err
		}
		if err := o.SetTag("note", strings.Repeat("x", history.MaxTagsBytes)); err == nil {
			return nil, fmt.Errorf("a tag that is too long was set")
		}
		if err := o.SetTag("customer", "7"); err != nil {
			return nil, err
		}
		o.DeleteTag("customer")
		if err := o.SetTag("customer", "8"); err != nil {
			return nil, err
		}
		return nil, test.ContinueAsNew(o, 1)
	}), "test", "0")
	if got, want := output(t, r), `"map[customer:8 stage:paid]"`; got != want || !maps.Equal(r.tags, map[string]string{"customer": "8", "stage": "paid"}) {
		t.Errorf("%s, want %s; the instance has %v", got, want, r.tags)
	}
}

// A loop that asks whether its history is long continues as new before it has many more
// events than that.
func TestShouldContinueAsNew(t *testing.T) {
	var lengths []int
	r := &run{registry: with(func(o *reprise.Orchestration, round int) (any, error) {
		for n := 0; ; n++ {
			if _, err := double.Call(o, n); err != nil {
				return nil, err
			}
			if o.ShouldContinueAsNew() {
				break
			}
		}
		if lengths = append(lengths, o.HistoryLength()); round > 0 {
			return "done", nil
		}
		return nil, test.ContinueAsNew(o, round+1)
	})()}
	r.start(t, "test", "0")
	if got, want := output(t, r), `"done"`; got != want || len(lengths) != 2 || lengths[0] != lengths[1] || lengths[0] < 10_000 || lengths[0] > 10_003 {
		t.Errorf("%s; the histories had %v events", got, lengths)
	}
}
