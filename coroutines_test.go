package reprise_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
)

func TestCoroutines(t *testing.T) {
	for _, c := range []struct {
		name string
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want string // the output, or the failure
	}{
		{"a group", func(o *reprise.Orchestration, n int) (any, error) {
			var group reprise.WaitGroup
			sum := 0
			for i := range 5 {
				group.Go(o, func(o *reprise.Orchestration) {
					twice, _ := double.Call(o, i)
					four, _ := double.Call(o, twice)
					sum += four
				})
			}
			err := group.Wait(o)
			return sum, err
		}, "40"},
		{"a pipeline", func(o *reprise.Orchestration, n int) (any, error) {
			numbers, doubled := reprise.NewChannel[int](0), reprise.NewChannel[int](2)
			o.Go(func(o *reprise.Orchestration) {
				defer numbers.Close()
				for i := range n {
					_ = numbers.Send(o, i)
				}
			})
			var group reprise.WaitGroup
			for range 3 {
				group.Go(o, func(o *reprise.Orchestration) {
					for {
						i, err := numbers.Receive(o)
						if err != nil {
							return
						}
						twice, _ := double.Call(o, i)
						_ = doubled.Send(o, twice)
					}
				})
			}
			o.Go(func(o *reprise.Orchestration) {
				_ = group.Wait(o)
				doubled.Close()
			})
			var all []int
			for {
				v, err := doubled.Receive(o)
				if errors.Is(err, reprise.ErrClosed) {
					return all, doubled.Send(o, 1)
				}
				all = append(all, v)
			}
		}, "channel is closed"},
		{"a channel keeps the order", func(o *reprise.Orchestration, n int) (any, error) {
			c := reprise.NewChannel[int](2)
			o.Go(func(o *reprise.Orchestration) {
				for i := range n {
					_ = c.Send(o, i)
				}
				c.Close()
			})
			var all []int
			for {
				v, err := c.Receive(o)
				if err != nil {
					return all, nil
				}
				all = append(all, v)
			}
		}, "[0,1,2,3,4,5,6]"},
		{"a mutex", func(o *reprise.Orchestration, n int) (any, error) {
			var mutex reprise.Mutex
			var group reprise.WaitGroup
			said := ""
			for i := range 3 {
				group.Go(o, func(o *reprise.Orchestration) {
					_ = mutex.Lock(o)
					defer mutex.Unlock()
					said += fmt.Sprint("<", i)
					_ = o.Sleep(time.Minute)
					said += fmt.Sprint(i, ">")
				})
			}
			err := group.Wait(o)
			return said + o.Now().Sub(began).String(), err
		}, `"\u003c00\u003e\u003c11\u003e\u003c22\u003e3m0s"`},
		{"a semaphore", func(o *reprise.Orchestration, n int) (any, error) {
			semaphore := reprise.NewSemaphore(2)
			var group reprise.WaitGroup
			for range 6 {
				group.Go(o, func(o *reprise.Orchestration) {
					_ = semaphore.Acquire(o)
					defer semaphore.Release()
					_ = o.Sleep(time.Minute)
				})
			}
			err := group.Wait(o)
			return o.Now().Sub(began).String(), err
		}, `"3m0s"`},
		{"cancellation ends all waits", func(o *reprise.Orchestration, n int) (any, error) {
			var mutex reprise.Mutex
			var group, none reprise.WaitGroup
			semaphore, channel := reprise.NewSemaphore(0), reprise.NewChannel[int](0)
			_ = mutex.Lock(o)
			var errs []error
			for _, wait := range []func(o *reprise.Orchestration) error{
				mutex.Lock, semaphore.Acquire,
				func(o *reprise.Orchestration) error { _, err := channel.Receive(o); return err },
				func(o *reprise.Orchestration) error {
					return o.Shielded(func(o *reprise.Orchestration) error { return o.Sleep(time.Minute) })
				},
			} {
				group.Go(o, func(o *reprise.Orchestration) { errs = append(errs, wait(o)) })
			}
			none.Go(o, func(o *reprise.Orchestration) { _ = o.Shielded(group.Wait) })
			ask.Start(o, "enough")
			err := none.Wait(o)
			_ = o.Shielded(none.Wait)
			count := 0
			for _, err := range errs {
				if errors.Is(err, reprise.ErrCanceled) {
					count++
				}
			}
			mutex.Unlock()
			semaphore.Release() // nobody stands in a queue any more
			return fmt.Sprint(errors.Is(err, reprise.ErrCanceled), count, len(errs), mutex.Lock(o), semaphore.Acquire(o)), nil
		}, `"true 3 4 \u003cnil\u003e \u003cnil\u003e"`},
		{"a panic", func(o *reprise.Orchestration, n int) (any, error) {
			o.Go(func(o *reprise.Orchestration) { panic("boom") })
			return nil, o.Sleep(time.Minute)
		}, "boom"},
		{"left behind", func(o *reprise.Orchestration, n int) (any, error) {
			o.Go(func(o *reprise.Orchestration) {
				defer func() { _, _ = double.Call(o, 1) }()
				_ = o.Sleep(time.Hour)
			})
			return double.Call(o, n)
		}, "14"},
		{"a saga of coroutines", func(o *reprise.Orchestration, n int) (_ any, err error) {
			var saga reprise.Saga
			undone := 0
			defer func() {
				if undone != 2 {
					err = errors.Join(err, errOther)
				}
			}()
			defer saga.Compensate(o, &err)
			var group reprise.WaitGroup
			for range 2 {
				group.Go(o, func(o *reprise.Orchestration) {
					_, _ = double.Call(o, n)
					saga.Add("it", func(*reprise.Orchestration) error { undone++; return nil })
				})
			}
			return nil, errors.Join(group.Wait(o), errGone)
		}, "gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7")
			got := string(r.end.Result)
			if r.end.Failure != nil {
				got = r.end.Failure.Message
			}
			if got != c.want {
				t.Errorf("%s, want %s\n%s", got, c.want, r.history())
			}
		})
	}
}

func TestMap(t *testing.T) {
	items := make([]int, 30)
	for i := range items {
		items[i] = i
	}
	r := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		if _, err := reprise.Map(o, items, 0, func(o *reprise.Orchestration, i int) reprise.Future[int] { return double.Start(o, i) }); err == nil {
			return nil, errors.New("a limit of 0 is accepted")
		}
		return reprise.Map(o, items, reprise.Limit(4), func(o *reprise.Orchestration, i int) reprise.Future[int] { return double.Start(o, i) })
	}), "test", "7")
	if got := output(t, r); !strings.HasPrefix(got, "[0,2,4,6,8,") || !strings.HasSuffix(got, ",58]") {
		t.Errorf("output %s", got)
	}
	pending, most := 0, 0
	for _, e := range r.recorded {
		switch e.Body.(type) {
		case *history.TaskScheduled:
			pending++
		case *history.TaskCompleted:
			pending--
		}
		most = max(most, pending)
	}
	if most != 4 {
		t.Errorf("%d were pending at a time", most)
	}
	canceled := both(t, with(func(o *reprise.Orchestration, n int) (any, error) {
		ask.Start(o, "enough")
		_, err := reprise.Map(o, items, 4, func(o *reprise.Orchestration, _ int) reprise.Future[int] { return never.Start(o, reprise.None{}) })
		return nil, err
	}), "test", "7", "never")
	if canceled.end.Status != history.Canceled || canceled.end.Failure.Message != "canceled: enough" {
		t.Errorf("%s %+v", canceled.end.Status, canceled.end.Failure)
	}
}

// Who waits for each other is told where, on replay as at first.
func TestDeadlock(t *testing.T) {
	_, file, _, _ := runtime.Caller(0)
	at := func(line int) string { return fmt.Sprintf("%s:%d", filepath.Base(file), line) }
	here := func() int { _, _, line, _ := runtime.Caller(1); return line }
	const text = "reprise: the orchestrator waits, and nothing is pending that could end that: it waits at "
	var main, first, second int
	for name, c := range map[string]struct {
		fn   func(o *reprise.Orchestration, n int) (any, error)
		want func() string
	}{
		"alone": {func(o *reprise.Orchestration, n int) (any, error) {
			main = here() + 1
			_, err := reprise.NewChannel[int](0).Receive(o)
			return nil, err
		}, func() string { return text + at(main) }},
		"with others": {func(o *reprise.Orchestration, n int) (any, error) {
			var a, b reprise.Mutex
			var group reprise.WaitGroup
			cross := func(line *int, mine, other *reprise.Mutex) func(*reprise.Orchestration) {
				return func(o *reprise.Orchestration) {
					_ = mine.Lock(o)
					_, _ = double.Call(o, n)
					*line = here() + 1
					_ = other.Lock(o)
				}
			}
			group.Go(o, cross(&first, &a, &b))
			group.Go(o, cross(&second, &b, &a))
			main = here() + 1
			return nil, group.Wait(o)
		}, func() string { return text + at(main) + ", its coroutines at " + at(first) + ", " + at(second) }},
		"with many": {func(o *reprise.Orchestration, n int) (any, error) {
			var group reprise.WaitGroup
			never := reprise.NewChannel[int](0)
			for range 13 {
				group.Go(o, func(o *reprise.Orchestration) {
					first = here() + 1
					_, _ = never.Receive(o)
				})
			}
			main = here() + 1
			return nil, group.Wait(o)
		}, func() string {
			return text + at(main) + ", its coroutines at " + strings.TrimSuffix(strings.Repeat(at(first)+", ", 10), ", ") + " and 3 more"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := both(t, with(c.fn), "test", "7")
			if r.end.Failure == nil || r.end.Failure.Message != c.want() {
				t.Errorf("%+v, want %s\n%s", r.end.Failure, c.want(), r.history())
			}
		})
	}
}
