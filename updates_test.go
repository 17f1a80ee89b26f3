package reprise_test

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

var set = reprise.NewUpdate[int, int]("set")

// Updates meet everything else that an orchestrator does.
func TestUpdates(t *testing.T) {
	here, there := accounts.Key("here"), accounts.Key("there")
	for _, c := range []struct {
		name    string
		fn      func(o *reprise.Orchestration, n int) (any, error)
		want    string
		replies string // that the history tells, shortened
	}{
		{"a handler, and a check", func(o *reprise.Orchestration, n int) (any, error) {
			set.Check(o, func(to int) error {
				if to < n {
					return errGone
				}
				return nil
			})
			set.Handle(o, func(to int) (int, error) { before := n; n = to; return before, nil })
			tell.Start(o, [2]string{"set", "3"})
			tell.Start(o, [2]string{"set", "9"})
			err := o.WaitUntil(func() bool { return n == 9 })
			return n, err
		}, "9", "7"},
		{"a handler and a local activity", func(o *reprise.Orchestration, n int) (any, error) {
			set.Handle(o, func(to int) (int, error) { return double.Call(o, to, reprise.Local()) })
			tell.Start(o, [2]string{"set", "3"})
			return double.Call(o, n)
		}, "14", "6"},
		{"a handler does not wait, and leaves nothing behind", func(o *reprise.Orchestration, n int) (any, error) {
			set.Handle(o, func(to int) (int, error) {
				return 0, reprise.Critical(o, reprise.Lock(here), func(*reprise.Section) error { return nil })
			})
			tell.Start(o, [2]string{"set", "3"})
			if _, err := double.Call(o, 1); err != nil {
				return nil, err
			}
			err := reprise.Critical(o, reprise.Lock(here, there), func(s *reprise.Section) error {
				_, err := reprise.Do(s, here, deposit, 2)
				return err
			})
			return "entered", err
		}, `"entered"`, "panic"},
		{"a handler in a critical section", func(o *reprise.Orchestration, n int) (any, error) {
			var told error
			set.Handle(o, func(to int) (int, error) {
				f := deposit.Start(o, there, 1)
				if !f.Done() {
					return 0, errors.New("it called an entity that is not locked")
				}
				_, told = f.Await(o)
				return 0, told
			})
			err := reprise.Critical(o, reprise.Lock(here), func(s *reprise.Section) error {
				tell.Start(o, [2]string{"set", "3"})
				return o.WaitUntil(func() bool { return told != nil })
			})
			return strings.Contains(told.Error(), "critical section"), err
		}, "true", "*fmt.wrapError"},
		{"a handler of a scope that is left", func(o *reprise.Orchestration, n int) (any, error) {
			err := o.Scope(func(o *reprise.Orchestration) error {
				set.Handle(o, func(to int) (int, error) { return double.Start(o, to).Await(o) })
				return nil
			})
			if err != nil {
				return nil, err
			}
			tell.Start(o, [2]string{"set", "3"})
			return double.Call(o, n)
		}, "14", "reprise.canceled"},
		{"a wait that gives up leaves its update to the next one", func(o *reprise.Orchestration, n int) (any, error) {
			_, err := reprise.WithTimeout(o, time.Minute, set.Receive(o))
			if !errors.Is(err, reprise.ErrTimeout) {
				return nil, err
			}
			tell.Start(o, [2]string{"set", "3"})
			asked, err := set.Receive(o).Await(o)
			asked.Reply(n, nil)
			return asked.In, err
		}, "3", "7"},
		{"a scope that is left gives updates back in their order", func(o *reprise.Orchestration, n int) (any, error) {
			set.Check(o, func(int) error { return nil })
			for _, to := range []string{"1", "2", "3"} {
				tell.Start(o, [2]string{"set", to})
			}
			if err := o.Sleep(time.Minute); err != nil { // they have arrived
				return nil, err
			}
			_ = o.Scope(func(o *reprise.Orchestration) error {
				set.Receive(o)
				set.Receive(o)
				return nil
			})
			all, err := reprise.All(o, set.Receive(o), set.Receive(o), set.Receive(o))
			for _, asked := range all {
				asked.Reply(asked.In*10, nil)
			}
			return []int{all[0].In, all[1].In, all[2].In}, err
		}, "[1,2,3]", "10 20 30"},
		{"a wait in a coroutine, and the cancellation", func(o *reprise.Orchestration, n int) (any, error) {
			var all reprise.WaitGroup
			var got []string
			for range 2 {
				all.Go(o, func(o *reprise.Orchestration) {
					asked, err := set.Receive(o).Await(o)
					if err == nil {
						asked.Reply(asked.In, nil)
					}
					got = append(got, fmt.Sprint(asked.In, err))
				})
			}
			tell.Start(o, [2]string{"set", "3"})
			ask.Start(o, "enough")
			err := o.Shielded(func(o *reprise.Orchestration) error { return all.Wait(o) })
			return got, err
		}, `["3 \u003cnil\u003e","0 canceled: enough"]`, "3"},
		{"what nobody has taken goes to the next execution", func(o *reprise.Orchestration, n int) (any, error) {
			if n == 7 {
				set.Check(o, func(int) error { return nil })
				tell.Start(o, [2]string{"set", "3"})
				tell.Start(o, [2]string{"set", "4"})
				if _, err := double.Call(o, n); err != nil {
					return nil, err
				}
				return nil, test.ContinueAsNew(o, 8)
			}
			first, err := set.Receive(o).Await(o)
			if err != nil {
				return nil, err
			}
			second, err := set.Receive(o).Await(o)
			first.Reply(1, nil)
			return []int{first.In, second.In}, err
		}, "[3,4]", "1 ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, func() *reprise.Registry {
				r := with(c.fn)()
				bank(r)
				return r
			}, "test", "7")
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
			if got := replies(r); got != c.replies {
				t.Errorf("replies %q, want %q\n%s", got, c.replies, r.history())
			}
		})
	}
}

// replies are the replies of a history: results, and of failures the type or the code.
func replies(r *run) string {
	var all []string
	for _, e := range r.recorded {
		b, ok := e.Body.(*history.UpdateCompleted)
		switch {
		case !ok:
		case b.Failure != nil:
			all = append(all, cmp.Or(b.Failure.Code, b.Failure.Type))
		default:
			all = append(all, string(b.Result))
		}
	}
	return strings.Join(all, " ")
}
