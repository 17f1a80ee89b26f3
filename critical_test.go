package reprise_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

func transfer(s *reprise.Section, from, to reprise.EntityRef[account], n int) error {
	if _, err := reprise.Do(s, from, withdraw, n); err != nil {
		return err
	}
	_, err := reprise.Do(s, to, deposit, n)
	return err
}

func TestCritical(t *testing.T) {
	a, b := accounts.Key("a"), accounts.Key("b")
	for _, c := range []struct {
		name string
		hold string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string
	}{
		{"a transfer", "", func(o *reprise.Orchestration, n int) (any, error) {
			if _, err := deposit.Call(o, b, 10); err != nil {
				return nil, err
			}
			err := reprise.Critical(o, reprise.Lock(b, a, b), func(s *reprise.Section) error { return transfer(s, b, a, 4) })
			_, err2 := deposit.Call(o, b, 1) // the section is left
			return nil, errors.Join(err, err2)
		}, "null"},
		{"that fails", "", func(o *reprise.Orchestration, n int) (any, error) {
			err := reprise.Critical(o, reprise.Lock(a, b), func(s *reprise.Section) error { return transfer(s, b, a, 4) })
			return errors.Is(err, errFunds), nil
		}, "true"},
		{"in parallel, and not awaited", "", func(o *reprise.Orchestration, n int) (any, error) {
			var f reprise.Future[int]
			err := reprise.Critical(o, reprise.Lock(a, b), func(s *reprise.Section) error {
				f = reprise.StartIn(s, a, deposit, 1)
				_, err := reprise.Do(s, b, deposit, 2)
				return err
			})
			v, err2 := f.Await(o)
			return v, errors.Join(err, err2)
		}, "1"},
		{"twice", "", func(o *reprise.Orchestration, n int) (any, error) {
			for range 2 {
				err := reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
					_, err := reprise.Do(s, a, deposit, 2)
					return err
				})
				if err != nil {
					return nil, err
				}
			}
			return nil, nil
		}, "null"},
		{"in coroutines, one after the other", "", func(o *reprise.Orchestration, n int) (any, error) {
			var turn reprise.Mutex
			var group reprise.WaitGroup
			failed := make([]error, 3)
			for i := range failed {
				group.Go(o, func(o *reprise.Orchestration) {
					if failed[i] = turn.Lock(o); failed[i] != nil {
						return
					}
					defer turn.Unlock()
					failed[i] = reprise.Critical(o, reprise.Lock(a, b), func(s *reprise.Section) error {
						_, err := reprise.Do(s, a, deposit, 1)
						return err
					})
				})
			}
			err := group.Wait(o)
			return nil, errors.Join(append(failed, err)...)
		}, "null"},
		{"not entered in time", "locks", func(o *reprise.Orchestration, n int) (any, error) {
			err := reprise.Critical(o, reprise.Lock(a, b), func(s *reprise.Section) error { return nil }, reprise.EnterWithin(time.Hour))
			return []any{errors.Is(err, reprise.ErrTimeout), err.Error(), o.Now().Sub(began).String()}, nil
		}, `[true,"critical section over @account@a, @account@b: no outcome within 1h0m0s: timed out","1h0m0s"]`},
		{"entered in time", "", func(o *reprise.Orchestration, n int) (any, error) {
			return nil, reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error { return nil }, reprise.EnterWithin(time.Hour))
		}, "null"},
		{"retried inside", "", func(o *reprise.Orchestration, n int) (any, error) {
			err := reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
				_, err := reprise.Do(s, a, withdraw, 1, reprise.Retry(3, time.Minute))
				return err
			})
			return []any{errors.Is(err, errFunds), o.Now().Sub(began).String()}, nil
		}, `[true,"3m0s"]`},
		{"no retry after the section", "", func(o *reprise.Orchestration, n int) (any, error) {
			var f reprise.Future[int]
			err := reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
				f = reprise.StartIn(s, a, withdraw, 1, reprise.Retry(3, time.Minute))
				return nil
			})
			_, failed := f.Await(o)
			return []any{err == nil, errors.Is(failed, errFunds), o.Now().Sub(began).String()}, nil
		}, `[true,true,"0s"]`},
		{"left while a retry waits", "", func(o *reprise.Orchestration, n int) (any, error) {
			var f reprise.Future[int]
			err := reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
				f = reprise.StartIn(s, a, withdraw, 1, reprise.Retry(3, time.Minute))
				o.Sleep(time.Second)
				return nil
			})
			_, failed := f.Await(o)
			return []any{err == nil, failed.Error(), o.Now().Sub(began).String()}, nil
		}, `[true,"call operation \"Withdraw\" of @account@a again: the critical section was left before","1m0s"]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, banking(c.fn), "test", "7", c.hold)
			if got := output(t, r); got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
			checkSections(t, r)
		})
	}
}

// checkSections checks that every section is left, and that nothing happens in one that
// the rules forbid.
func checkSections(t *testing.T, r *run) {
	t.Helper()
	open, entered := history.NoID, 0
	for _, e := range r.recorded {
		switch b := e.Body.(type) {
		case *history.EntityLockRequested:
			if open != history.NoID || !slices.IsSorted(b.LockSet) || len(slices.Compact(slices.Clone(b.LockSet))) != len(b.LockSet) {
				t.Errorf("requested %v in section %d\n%s", b.LockSet, open, r.history())
			}
			open = e.ID
			entered++
		case *history.EntityUnlockSent:
			if b.TaskID != open {
				t.Errorf("left %d, the open one is %d\n%s", b.TaskID, open, r.history())
			}
			open = history.NoID
		case *history.EntityOperationCalled:
			if b.Section != open {
				t.Errorf("called %s of %s with section %d in %d\n%s", b.Operation, b.Target, b.Section, open, r.history())
			}
		}
	}
	if open != history.NoID || entered == 0 {
		t.Errorf("%d sections, %d is not left\n%s", entered, open, r.history())
	}
}

// The rules that the compiler does not know are errors, and nothing of it is decided.
func TestRulesOfCriticalSections(t *testing.T) {
	a, b := accounts.Key("a"), accounts.Key("b")
	in := func(lock reprise.LockSet, fn func(o *reprise.Orchestration, s *reprise.Section) error) func(o *reprise.Orchestration, n int) (any, error) {
		return func(o *reprise.Orchestration, n int) (any, error) {
			if err := reprise.Critical(o, lock, func(s *reprise.Section) error { return fn(o, s) }); err != nil {
				return err.Error(), nil
			}
			return "allowed", nil
		}
	}
	// beside is what one coroutine does while another one is in a section.
	beside := func(fn func(o *reprise.Orchestration) error) func(o *reprise.Orchestration, n int) (any, error) {
		return in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) (err error) {
			var others reprise.WaitGroup
			others.Go(o, func(o *reprise.Orchestration) { err = fn(o) })
			return errors.Join(others.Wait(o), err)
		})
	}
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string // a part of it
	}{
		{"another entity", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			_, err := reprise.Do(s, b, deposit, 1)
			return err
		}), `call operation \"deposit\" of @account@b: the critical section has not locked the entity`},
		{"a call beside the section", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			_, err := deposit.Call(o, a, 1)
			return err
		}), `by reprise.Do and the section`},
		{"a nested section", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			return reprise.Critical(o, reprise.Lock(b), func(*reprise.Section) error { return nil })
		}), `enter a critical section over @account@b: the orchestration is in the one over @account@a, which belongs to all its coroutines, and sections do not nest; lock all entities in one section, or let coroutines enter theirs one after the other by a reprise.Mutex`},
		{"a sub-orchestration", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			_, err := test.Call(o, 1)
			return err
		}), `start sub-orchestration \"test\": the orchestration is in the critical section over @account@a, which belongs to all its coroutines`},
		{"a signal to what is locked", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			return deposit.Signal(o, a, 1)
		}), `signal operation \"deposit\" of @account@a: the entity is locked by the critical section`},
		{"a signal to others", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			return deposit.Signal(o, b, 1)
		}), `allowed`},
		{"an activity", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			_, err := double.Call(o, 1)
			return err
		}), `allowed`},
		{"a detached start", in(reprise.Lock(a), func(o *reprise.Orchestration, s *reprise.Section) error {
			_, err := test.StartDetached(o, 1)
			return err
		}), `allowed`},
		{"a section of another coroutine", beside(func(o *reprise.Orchestration) error {
			return reprise.Critical(o, reprise.Lock(b), func(*reprise.Section) error { return nil })
		}), `which belongs to all its coroutines, and sections do not nest; lock all entities in one section, or let coroutines enter theirs one after the other by a reprise.Mutex`},
		{"a sub-orchestration of another coroutine", beside(func(o *reprise.Orchestration) error {
			_, err := test.Call(o, 1)
			return err
		}), `start it before or after, which coroutines agree on by a reprise.Mutex`},
		{"a call of another coroutine", beside(func(o *reprise.Orchestration) error {
			_, err := deposit.Call(o, b, 1)
			return err
		}), `which belongs to all its coroutines: meanwhile it calls only the entities that it has locked`},
		{"no entity", in(reprise.Lock(), nil), `there is no entity to lock`},
		{"a wrong key", in(reprise.Lock(a, accounts.Key("x/y")), nil), `none of / \\ # ? is allowed`},
		{"a zero reference", in(reprise.Lock(reprise.EntityRef[account]{}), nil), `is not of the form`},
		{"a section that was left", func(o *reprise.Orchestration, n int) (any, error) {
			var leaked *reprise.Section
			err := reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error { leaked = s; return nil })
			_, err2 := reprise.Do(leaked, a, deposit, 1)
			return fmt.Sprint(err, err2), nil
		}, `the critical section was left before`},
		{"too many", func(o *reprise.Orchestration, n int) (any, error) {
			var all []reprise.EntityReference
			for i := range reprise.MaxLocked + 1 {
				all = append(all, accounts.Key(fmt.Sprint(i)))
			}
			return fmt.Sprint(reprise.Critical(o, reprise.Lock(all...), nil)), nil
		}, `and 253 more: it would lock 257 entities; at most 256 are allowed`},
		{"no time", func(o *reprise.Orchestration, n int) (any, error) {
			return fmt.Sprint(reprise.Critical(o, reprise.Lock(a), nil, reprise.EnterWithin(0))), nil
		}, `a limit of 0s; it must be above 0`},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, banking(c.fn), "test", "7")
			if got := output(t, r); !strings.Contains(got, c.want) {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}

// A section is left by a panic, and not by unloading.
func TestSectionsAreLeft(t *testing.T) {
	a := accounts.Key("a")
	r := both(t, banking(func(o *reprise.Orchestration, n int) (any, error) {
		return nil, reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
			if _, err := reprise.Do(s, a, deposit, 1); err != nil {
				return err
			}
			panic("inside")
		})
	}), "test", "7")
	if r.end.Failure == nil || r.end.Failure.Message != "inside" {
		t.Errorf("ended with %s, %+v", r.end.Result, r.end.Failure)
	}
	checkSections(t, r)

	var inside *reprise.Section
	program, _ := banking(func(o *reprise.Orchestration, n int) (any, error) {
		return nil, reprise.Critical(o, reprise.Lock(a), func(s *reprise.Section) error {
			inside = s
			_, err := reprise.Do(s, a, deposit, 1)
			return err
		})
	})().OrchestratorOf("test", "")
	x := engine.New(program, engine.Identity{Hub: "default", Instance: "instance"})
	arrive := func(body history.Body) history.Episode {
		t.Helper()
		episode, err := x.Run([]history.Event{
			{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
			{ID: history.NoID, Time: began, Body: body},
		})
		if err != nil {
			t.Fatal(err)
		}
		return episode
	}
	arrive(&history.ExecutionStarted{Name: "test", ExecutionID: "00ff", Input: history.Payload("1")})
	if got := arrive(&history.EntityLockGranted{TaskID: 0}).Decided; inside == nil || len(got) != 1 || got[0].Body.Kind() != history.KindEntityOperationCalled {
		t.Errorf("decided %v", got)
	}
	unload(x) // runs the deferred functions, which decide nothing and do not panic
}
