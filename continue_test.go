package reprise_test

import (
	"testing"

	"github.com/reprise-run/reprise"
)

func TestContinueAsNew(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"counts down", func(o *reprise.Orchestration, n int) (any, error) {
			if _, err := double.Call(o, n); err != nil {
				return nil, err
			}
			if n > 0 {
				return nil, test.ContinueAsNew(o, n-1)
			}
			return "done", nil
		}, `"done"`},
		{"keeps events in their order", func(o *reprise.Orchestration, n int) (any, error) {
			if n == 7 {
				for _, by := range []string{"a", "b", "c"} {
					if err := approved.Send(o, o.InstanceID(), decision{By: by}); err != nil {
						return nil, err
					}
				}
				first, err := approved.Await(o)
				if err != nil || first.By != "a" {
					return first, err
				}
				other := reprise.NewEvent[decision]("other")
				if err := other.Send(o, o.InstanceID(), decision{By: "d"}); err != nil {
					return nil, err
				}
				if _, err := other.Await(o); err != nil { // so that the others have arrived
					return nil, err
				}
				return nil, test.ContinueAsNew(o, 8)
			}
			b, err := approved.Await(o)
			if err != nil {
				return nil, err
			}
			c, err := approved.Await(o)
			return b.By + c.By, err
		}, `"bc"`},
		{"in another version", func(o *reprise.Orchestration, n int) (any, error) {
			switch {
			case n == 7:
				return nil, test.ContinueAsNew(o, 8, reprise.NextVersion("2.0"))
			case n == 8 && o.Version() == "2.0":
				return nil, test.ContinueAsNew(o, 9) // it stays
			}
			return o.Version(), nil
		}, `"2.0"`},
		{"in no such version", func(o *reprise.Orchestration, n int) (any, error) {
			err := test.ContinueAsNew(o, 8, reprise.NextVersion("2\x00"))
			return err.Error(), nil
		}, `"continue orchestration \"test\" as new: version: the name \"2\\x00\" has control characters"`},
		{"not as another", func(o *reprise.Orchestration, n int) (any, error) {
			return kid.ContinueAsNew(o, n).Error(), nil
		}, `"orchestration \"test\" continues as itself, not as \"kid\""`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}
