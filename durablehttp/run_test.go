package durablehttp

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// run plays a cluster for one orchestration: activities and children run at once,
// timers fire in virtual time, and the execution is rebuilt from its history before
// every episode, so that a decision that is not repeated fails the test.
type run struct {
	t        *testing.T
	registry *reprise.Registry
	now      time.Time
	waits    []time.Duration // of its timers
	closes   []time.Duration // of its requests: when they end, begun or not
}

// play runs fn as an orchestrator on a node that has the configuration.
func play(t *testing.T, cfg Config, fn func(o *reprise.Orchestration) error) *run {
	t.Helper()
	r := &run{t: t, registry: reprise.NewRegistry(reprise.WithLogger(slog.New(slog.DiscardHandler))), now: began}
	if err := Bind(r.registry, cfg); err != nil {
		t.Fatal(err)
	}
	reprise.Bind(r.registry, reprise.NewOrchestration[reprise.None, reprise.None]("test"),
		func(o *reprise.Orchestration, _ reprise.None) (reprise.None, error) { return reprise.None{}, fn(o) })
	if err := r.registry.Err(); err != nil {
		t.Fatal(err)
	}
	if end := r.execute(&history.ExecutionStarted{Name: "test", ExecutionID: "00ff"}); end.Failure != nil {
		t.Fatal(reprise.ErrorOf(reprise.JSON, end.Failure))
	}
	return r
}

func (r *run) execute(started *history.ExecutionStarted) *history.ExecutionCompleted {
	r.t.Helper()
	program, err := r.registry.OrchestratorOf(started.Name, "")
	if err != nil {
		r.t.Fatal(err)
	}
	var recorded, ready []history.Event
	timers := map[int32]time.Time{}
	arrived := history.Body(started)
	for {
		events := []history.Event{{ID: history.NoID, Time: r.now, Body: history.OrchestratorStarted{}}, {ID: history.NoID, Time: r.now, Body: arrived}}
		x := engine.New(program, engine.Identity{Hub: "default", Instance: "instance"})
		if err := x.Replay(recorded); err != nil {
			r.t.Fatal(err)
		}
		episode, err := x.Run(events)
		if err != nil {
			r.t.Fatal(err)
		}
		unload(x)
		recorded = append(append(recorded, events...), episode.Decided...)
		if end := episode.Completion(); end != nil {
			return end
		}
		for _, e := range episode.Decided {
			switch b := e.Body.(type) {
			case *history.TimerCreated:
				timers[e.ID] = b.FireAt
				r.waits = append(r.waits, b.FireAt.Sub(r.now))
			case *history.TimerCanceled:
				delete(timers, b.TimerID)
			default:
				ready = append(ready, e)
			}
		}
		arrived, ready = r.next(started, ready, timers)
	}
}

// next is what arrives: an outcome, or else the first timer.
func (r *run) next(started *history.ExecutionStarted, ready []history.Event, timers map[int32]time.Time) (history.Body, []history.Event) {
	r.t.Helper()
	if len(ready) > 0 {
		return r.outcome(started, ready[0]), ready[1:]
	}
	first := int32(-1)
	for id, at := range timers {
		if first < 0 || at.Before(timers[first]) {
			first = id
		}
	}
	if first < 0 {
		r.t.Fatal("the orchestration waits for nothing")
	}
	r.now = timers[first]
	delete(timers, first)
	return &history.TimerFired{TimerID: first, FireAt: r.now}, ready
}

func (r *run) outcome(started *history.ExecutionStarted, e history.Event) history.Body {
	r.t.Helper()
	switch b := e.Body.(type) {
	case *history.TaskScheduled:
		r.closes = append(r.closes, b.Options.ScheduleToClose)
		fn, _ := r.registry.Activity(b.Name)
		result, failure := fn(context.Background(), b.Input)
		if failure != nil {
			return &history.TaskFailed{TaskID: e.ID, Failure: failure}
		}
		return &history.TaskCompleted{TaskID: e.ID, Result: result}
	case *history.SubOrchestrationInstanceCreated:
		end := r.execute(&history.ExecutionStarted{Name: b.Name, Input: b.Input, ExecutionID: history.ChildExecution(started.ExecutionID, e.ID)})
		if end.Failure != nil {
			return &history.SubOrchestrationInstanceFailed{TaskID: e.ID, Failure: end.Failure}
		}
		return &history.SubOrchestrationInstanceCompleted{TaskID: e.ID, Result: end.Result}
	}
	r.t.Fatalf("unexpected decision %s", history.Describe(e))
	return nil
}

// unload closes an execution on a goroutine that may end by it.
func unload(x *engine.Execution) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.Close()
	}()
	<-done
}

// received is a request as a test server got it.
type received struct {
	*http.Request
	body string
}

// endpoint is a server on loopback that answers with one handler after the other,
// and with the last one from then on.
type endpoint struct {
	*httptest.Server
	mu       sync.Mutex // guards requests
	requests []received
}

type answer func(w http.ResponseWriter, r *http.Request)

func serve(t *testing.T, answers ...answer) *endpoint {
	e := unstarted(t, answers...)
	e.Start()
	return e
}

func unstarted(t *testing.T, answers ...answer) *endpoint {
	e := &endpoint{}
	e.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read the body: %v", err)
		}
		e.mu.Lock()
		n := len(e.requests)
		e.requests = append(e.requests, received{r, string(body)})
		e.mu.Unlock()
		answers[min(n, len(answers)-1)](w, r)
	}))
	t.Cleanup(e.Close)
	return e
}

func (e *endpoint) got() []received {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.requests)
}

// allowed lets requests go to these servers and nowhere else.
func allowed(servers ...*endpoint) Config {
	var cfg Config
	for _, s := range servers {
		u, _ := url.Parse(s.URL)
		cfg.AllowedHosts = append(cfg.AllowedHosts, u.Host)
		cfg.AllowPrivate = append(cfg.AllowPrivate, u.Host)
	}
	return cfg
}

// status answers with a status, a body and header lines: name, value, name, …
func status(code int, body string, header ...string) answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}

// broken ends the connection in the middle of an answer.
func broken(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Length", "10")
	w.WriteHeader(200)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}
