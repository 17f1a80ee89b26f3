package reprise_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

type decision struct {
	OK bool
	By string
}

var approved = reprise.NewEvent[decision]("approved")

// The player of these tests sends events that an orchestration sends to itself.
func TestEvents(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"sent, then awaited", func(o *reprise.Orchestration, n int) (any, error) {
			if err := approved.Send(o, o.InstanceID(), decision{true, "me"}); err != nil {
				return nil, err
			}
			d, err := approved.Await(o)
			return d.By, err
		}, `"me"`},
		{"in order", func(o *reprise.Orchestration, n int) (any, error) {
			first, second := approved.Receive(o), reprise.NewEvent[decision]("APPROVED").Receive(o)
			for _, by := range []string{"a", "b"} {
				if err := approved.Send(o, o.InstanceID(), decision{By: by}); err != nil {
					return nil, err
				}
			}
			b, err := second.Await(o)
			a, _ := first.Await(o)
			return a.By + b.By, err
		}, `"ab"`},
		{"too late", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.WithTimeout(o, time.Hour, approved.Receive(o))
			return []any{errors.Is(err, reprise.ErrTimeout), o.Now().Sub(began).String()}, nil
		}, `[true,"1h0m0s"]`},
		{"a canceled wait leaves the event to others", func(o *reprise.Orchestration, n int) (any, error) {
			given := approved.Receive(o)
			given.Cancel(o)
			if err := approved.Send(o, o.InstanceID(), decision{By: "x"}); err != nil {
				return nil, err
			}
			d, err := approved.Await(o)
			_, canceled := given.Await(o)
			return []any{d.By, errors.Is(canceled, reprise.ErrCanceled)}, err
		}, `["x",true]`},
		{"a scope that is left gives events back in their order", func(o *reprise.Orchestration, n int) (any, error) {
			for _, by := range []string{"a", "b", "c"} {
				if err := approved.Send(o, o.InstanceID(), decision{By: by}); err != nil {
					return nil, err
				}
			}
			if err := o.Sleep(time.Minute); err != nil { // they have arrived
				return nil, err
			}
			_ = o.Scope(func(o *reprise.Orchestration) error {
				approved.Receive(o)
				approved.Receive(o)
				return nil
			})
			all, err := reprise.All(o, approved.Receive(o), approved.Receive(o), approved.Receive(o))
			return all[0].By + all[1].By + all[2].By, err
		}, `"abc"`},
		{"a wait that is canceled makes room for those behind it", func(o *reprise.Orchestration, n int) (any, error) {
			for _, by := range []string{"a", "b"} {
				if err := approved.Send(o, o.InstanceID(), decision{By: by}); err != nil {
					return nil, err
				}
			}
			if err := o.Sleep(time.Minute); err != nil {
				return nil, err
			}
			lost, second, third := approved.Receive(o), approved.Receive(o), approved.Receive(o)
			lost.Cancel(o)
			all, err := reprise.All(o, second, third)
			return all[0].By + all[1].By, err
		}, `"ab"`},
		{"an invalid ID", func(o *reprise.Orchestration, n int) (any, error) {
			var invalid *history.InvalidIDError
			return errors.As(approved.Send(o, "a/b", decision{}), &invalid), nil
		}, "true"},
		{"names that are none", func(o *reprise.Orchestration, _ int) (any, error) {
			var texts []string
			for _, name := range []string{"", "\xff", strings.Repeat("n", 300)} {
				event := reprise.NewEvent[int](name)
				_, err := event.Await(o)
				operation := reprise.NewOperation[int, int](reprise.NewEntity[int]("e"), name)
				signal := operation.Signal(o, reprise.NewEntity[int]("e").Key("k"), 1)
				for _, err := range []error{event.Send(o, o.InstanceID(), 1), err, signal} {
					texts = append(texts, err.Error())
				}
			}
			return strings.Join(texts, "; "), nil
		}, `"send an event: the event has no name; wait for an event: the event has no name; ask an entity for an operation: the operation has no name; ` +
			`send an event: the event's name \"\\xff\" is not UTF-8; wait for an event: the event's name \"\\xff\" is not UTF-8; ask an entity for an operation: the operation's name \"\\xff\" is not UTF-8; ` +
			`send an event: the event's name has 300 bytes; at most 256 are allowed; wait for an event: the event's name has 300 bytes; at most 256 are allowed; ask an entity for an operation: the operation's name has 300 bytes; at most 256 are allowed"`},
		{"data that is none", func(o *reprise.Orchestration, _ int) (any, error) {
			if err := reprise.NewEvent[string]("approved").Send(o, o.InstanceID(), "yes"); err != nil {
				return nil, err
			}
			_, err := approved.Await(o)
			return strings.HasPrefix(err.Error(), `data of event "approved": decode`), nil
		}, "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}
