package executor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

var (
	work    = reprise.NewActivity[int, int]("work")
	count   = reprise.NewOrchestration[int, int]("count")
	blocked = reprise.NewOrchestration[int, int]("blocked")
)

// instance plays the leader for one instance.
type instance struct {
	key       leader.ExecutionKey
	name      string
	episodes  int64
	recorded  []history.Event
	histories int // how often the history was read
}

func newInstance(id, name string) *instance {
	return &instance{name: name, key: leader.ExecutionKey{Partition: 1, Epoch: 5, Hub: "default", Instance: history.InstanceID(id), Execution: "e"}}
}

func (i *instance) request(bodies ...history.Body) leader.EpisodeRequest {
	arrived := []history.Event{{ID: history.NoID, Time: time.Unix(1000, 0), Body: history.OrchestratorStarted{}}}
	for _, b := range bodies {
		arrived = append(arrived, history.Event{ID: history.NoID, Time: time.Unix(1000, 0), Body: b})
	}
	recorded := i.recorded
	return leader.EpisodeRequest{
		Key: i.key, Name: i.name, Episodes: i.episodes, Arrived: arrived,
		History: func(context.Context) ([]history.Event, error) { i.histories++; return recorded, nil },
	}
}

// episode runs one episode and records it.
func (i *instance) episode(t *testing.T, e *Orchestrators, bodies ...history.Body) history.Episode {
	t.Helper()
	req := i.request(bodies...)
	episode, err := e.Episode(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	i.recorded = append(append(i.recorded, req.Arrived...), episode.Decided...)
	i.episodes++
	return episode
}

func (i *instance) start(t *testing.T, e *Orchestrators) history.Episode {
	t.Helper()
	return i.episode(t, e, &history.ExecutionStarted{Name: i.name, ExecutionID: "e", Input: history.Payload("3")})
}

func completed(id int32) history.Body {
	return &history.TaskCompleted{TaskID: id, Result: history.Payload("1")}
}

// registry has "count", which runs as many activities as its input says and
// counts its unwindings, and "blocked", which waits for gate.
func registry(unwound *atomic.Int64, gate chan struct{}) *reprise.Registry {
	r := reprise.NewRegistry()
	reprise.Bind(r, count, func(o *reprise.Orchestration, n int) (sum int, err error) {
		finished := false
		defer func() {
			if !finished {
				unwound.Add(1) // unloading runs beside the test
			}
		}()
		for range n {
			v, err := work.Call(o, 1)
			if err != nil {
				return 0, err
			}
			sum += v
		}
		finished = true
		return sum, nil
	})
	reprise.Bind(r, blocked, func(o *reprise.Orchestration, n int) (int, error) {
		blockHere(gate)
		return work.Call(o, n)
	})
	return r
}

//go:noinline
func blockHere(gate chan struct{}) { <-gate }

func quiet(o Options) Options {
	o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	return o
}

func TestKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		e := NewOrchestrators(registry(&unwound, nil), quiet(Options{}))
		i := newInstance("a", "count")
		i.start(t, e)
		i.episode(t, e, completed(0))
		if n, bytes := e.Kept(); n != 1 || bytes <= 0 || i.histories != 0 {
			t.Errorf("%d kept of %d bytes, the history was read %d times", n, bytes, i.histories)
		}

		// A request that is not of the kept one's age rebuilds: here the episode
		// that was run was never recorded.
		if _, err := e.Episode(t.Context(), i.request(completed(1))); err != nil {
			t.Fatal(err)
		}
		i.episode(t, e, completed(1))
		synctest.Wait()
		if i.histories != 1 || unwound.Load() != 1 {
			t.Errorf("the history was read %d times, %d executions unwound", i.histories, unwound.Load())
		}
		last := i.episode(t, e, completed(2))
		if c := last.Completion(); c == nil || string(c.Result) != "3" {
			t.Errorf("the end: %v", last.Decided)
		}
		if n, bytes := e.Kept(); n != 0 || bytes != 0 {
			t.Errorf("%d kept of %d bytes after the end", n, bytes)
		}
	})
}

func TestForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		e := NewOrchestrators(registry(&unwound, nil), quiet(Options{}))
		a, b, other := newInstance("a", "count"), newInstance("b", "count"), newInstance("c", "count")
		other.key.Epoch = 6
		for _, i := range []*instance{a, b, other} {
			i.start(t, e)
		}
		e.Forget(a.key)
		e.Forget(a.key)
		e.ForgetReign(1, 5)
		synctest.Wait()
		if n, _ := e.Kept(); n != 1 || unwound.Load() != 2 {
			t.Errorf("%d kept, %d unwound", n, unwound.Load())
		}
		a.episode(t, e, completed(0))
		if a.histories != 1 {
			t.Errorf("the history was read %d times", a.histories)
		}
		if err := e.Close(t.Context()); err != nil || unwound.Load() != 4 {
			t.Errorf("close: %v, %d unwound", err, unwound.Load())
		}
		if _, err := e.Episode(t.Context(), b.request(completed(0))); err == nil {
			t.Error("an episode ran after the close")
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		e := NewOrchestrators(registry(&unwound, nil), quiet(Options{KeptExecutions: 2}))
		a, b, c := newInstance("a", "count"), newInstance("b", "count"), newInstance("c", "count")
		a.start(t, e)
		b.start(t, e)
		a.episode(t, e, completed(0)) // b is the one used longest ago
		c.start(t, e)
		a.episode(t, e, completed(1))
		b.episode(t, e, completed(0))
		if a.histories != 0 || b.histories != 1 {
			t.Errorf("histories read: %d of a, %d of b", a.histories, b.histories)
		}

		// A history longer than all the room drives out one other, and is not replayed
		// for every episode.
		small := NewOrchestrators(registry(&unwound, nil), quiet(Options{KeptBytes: 8000}))
		var others []*instance
		for i := range 8 {
			d := newInstance(fmt.Sprint("d", i), "count")
			d.episode(t, small, &history.ExecutionStarted{Name: "count", ExecutionID: "e", Input: history.Payload("3" + strings.Repeat(" ", 1000))})
			others = append(others, d)
		}
		large := newInstance("l", "count")
		large.episode(t, small, &history.ExecutionStarted{Name: "count", ExecutionID: "e", Input: history.Payload("3" + strings.Repeat(" ", 20000))})
		large.episode(t, small, completed(0))
		if n, bytes := small.Kept(); n != 8 || bytes != 8000 || large.histories != 0 {
			t.Errorf("%d kept of %d bytes, the long history was read %d times", n, bytes, large.histories)
		}
		others[1].episode(t, small, completed(0))
		others[0].episode(t, small, completed(0))
		if others[1].histories != 0 || others[0].histories != 1 {
			t.Errorf("histories read: %d and %d", others[1].histories, others[0].histories)
		}
		_ = e.Close(t.Context())
		_ = small.Close(t.Context())
	})
}

func TestStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		gate := make(chan struct{})
		var logged strings.Builder
		options := Options{TurnLimit: time.Minute, Logger: slog.New(slog.NewTextHandler(&logged, nil))}
		e := NewOrchestrators(registry(&unwound, gate), options)
		i := newInstance("a", "blocked")
		start := &history.ExecutionStarted{Name: "blocked", ExecutionID: "e", Input: history.Payload("3")}
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() {
			_, err := e.Episode(ctx, i.request(start))
			first <- err
		}()
		time.Sleep(time.Minute) // the limit of a turn
		synctest.Wait()
		// It is not run a second time, not for a new reign either.
		cancel()
		i.key.Epoch = 9
		second := make(chan int, 1)
		go func() { second <- len(i.episode(t, e, start).Decided) }()
		synctest.Wait()
		list := e.Stuck()
		if len(list) != 1 || list[0].Instance != "a" || !list[0].Since.Equal(began) || !strings.Contains(list[0].Stack, "blockHere") {
			t.Errorf("stuck: %+v", list)
		}
		if !strings.HasPrefix(list[0].Stack, "github.com/reprise-run/reprise/cluster/executor.blockHere") {
			t.Errorf("the user's code is not first in\n%s", list[0].Stack)
		}
		if !strings.Contains(logged.String(), "blockHere") || strings.Count(logged.String(), "does not yield") != 1 {
			t.Errorf("log: %s", &logged)
		}
		// Others are not held up.
		other := newInstance("b", "count")
		other.start(t, e)

		select {
		case err := <-first:
			t.Fatalf("the first ended: %v", err)
		case <-second:
			t.Fatal("the second ran beside the first")
		default:
		}

		close(gate)
		synctest.Wait()
		if list := e.Stuck(); len(list) != 0 {
			t.Errorf("still stuck: %+v", list)
		}
		// What the first came to is dropped, and the second is right.
		if err := <-first; err != nil {
			t.Errorf("first: %v", err)
		}
		if n := <-second; n != 1 {
			t.Errorf("the second decided %d", n)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestEpisodeContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		gate := make(chan struct{})
		e := NewOrchestrators(registry(&unwound, gate), quiet(Options{TurnLimit: time.Hour}))
		i := newInstance("a", "blocked")
		start := &history.ExecutionStarted{Name: "blocked", ExecutionID: "e", Input: history.Payload("3")}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		first, second := make(chan error, 1), make(chan error, 1)
		go func() {
			_, err := e.Episode(t.Context(), i.request(start))
			first <- err
		}()
		synctest.Wait()
		// The second waits for the first to be out of the way.
		go func() {
			_, err := e.Episode(ctx, i.request(start))
			second <- err
		}()
		if err := <-second; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("second: %v", err)
		}
		close(gate)
		if err := <-first; err != nil {
			t.Errorf("first: %v", err)
		}
		// Whose reign is over gets nothing, and nothing is kept for it.
		i.key.Epoch = 9
		if _, err := e.Episode(ctx, i.request(start)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("third: %v", err)
		}
		if n, _ := e.Kept(); n != 1 {
			t.Errorf("%d kept", n)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestEpisodeErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var unwound atomic.Int64
		e := NewOrchestrators(registry(&unwound, nil), quiet(Options{KeptExecutions: -1}))
		if _, err := e.Episode(t.Context(), newInstance("a", "unknown").request()); !errors.Is(err, leader.ErrUnbound) {
			t.Errorf("unbound: %v", err)
		}
		i := newInstance("b", "count")
		i.start(t, e)
		broken := errors.New("broken")
		req := i.request(completed(0))
		req.History = func(context.Context) ([]history.Event, error) { return nil, broken }
		if _, err := e.Episode(t.Context(), req); !errors.Is(err, broken) {
			t.Errorf("history: %v", err)
		}
		i.recorded[len(i.recorded)-1].Body = &history.TaskScheduled{Name: "other"}
		var nondeterminism *history.NondeterminismError
		if _, err := e.Episode(t.Context(), i.request(completed(0))); !errors.As(err, &nondeterminism) || !strings.HasPrefix(nondeterminism.Site, "orchestrators_test.go:") {
			t.Errorf("nondeterminism: %v", err)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// What is forgotten while it runs is not kept afterwards.
func TestForgetBusy(t *testing.T) {
	for name, forget := range map[string]func(*Orchestrators, leader.ExecutionKey){
		"one":   func(e *Orchestrators, key leader.ExecutionKey) { e.Forget(key) },
		"reign": func(e *Orchestrators, key leader.ExecutionKey) { e.ForgetReign(key.Partition, key.Epoch) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var unwound atomic.Int64
				gate := make(chan struct{})
				e := NewOrchestrators(registry(&unwound, gate), quiet(Options{TurnLimit: time.Hour}))
				i := newInstance("a", "blocked")
				ended := make(chan error, 1)
				go func() {
					_, err := e.Episode(t.Context(), i.request(&history.ExecutionStarted{Name: "blocked", ExecutionID: "e", Input: history.Payload("3")}))
					ended <- err
				}()
				synctest.Wait()
				forget(e, i.key)
				close(gate)
				if err := <-ended; err != nil {
					t.Error(err)
				}
				synctest.Wait()
				if n, _ := e.Kept(); n != 0 {
					t.Errorf("%d kept", n)
				}
			})
		})
	}
}

// BenchmarkSequence runs 100 activities in sequence through the executor.
func BenchmarkSequence(b *testing.B) {
	for name, kept := range map[string]int{"kept": 1, "replayed": -1} {
		b.Run(name, func(b *testing.B) {
			var unwound atomic.Int64
			e := NewOrchestrators(registry(&unwound, nil), quiet(Options{KeptExecutions: kept}))
			for b.Loop() {
				i := newInstance("a", "count")
				body := history.Body(&history.ExecutionStarted{Name: "count", ExecutionID: "e", Input: history.Payload("100")})
				for id := int32(0); ; id++ {
					req := i.request(body)
					episode, err := e.Episode(b.Context(), req)
					if err != nil {
						b.Fatal(err)
					}
					if episode.Completion() != nil {
						break
					}
					i.recorded = append(append(i.recorded, req.Arrived...), episode.Decided...)
					i.episodes++
					body = completed(id)
				}
			}
			if err := e.Close(context.Background()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
