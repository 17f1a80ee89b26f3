package reprise_test

import (
	"cmp"
	"context"
	"encoding/json"
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

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// ask lets the player ask the orchestration to end; nothing else comes of it.
var ask = reprise.NewActivity[string, reprise.None]("ask")

// tell lets the player ask for an update: a name, and the input as JSON.
var tell = reprise.NewActivity[[2]string, reprise.None]("tell")

// failer is what the player needs of a test.
type failer interface {
	Helper()
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

// exampleFailure fails an example.
type exampleFailure struct{}

func (exampleFailure) Helper()                           {}
func (exampleFailure) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (exampleFailure) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// run plays a cluster for one orchestration: it runs activities and children at once, one
// after the other, lets timers fire in virtual time, and rebuilds the execution
// from its history before every episode where rebuild is set.
type run struct {
	registry *reprise.Registry
	rebuild  bool
	// hold keeps activities of these names from running; "locks" keeps sections from
	// being entered.
	hold map[string]bool
	// entities are the states of entities, signals what they were signaled.
	entities map[history.InstanceID]history.Payload
	signals  []string

	recorded []history.Event
	status   history.Payload
	tags     map[string]string
	end      *history.ExecutionCompleted
}

func (r *run) start(t failer, name string, input string) *history.ExecutionCompleted {
	return r.execute(t, &history.ExecutionStarted{Name: name, ExecutionID: "00ff", Input: history.Payload(input)}, "instance")
}

func (r *run) execute(t failer, started *history.ExecutionStarted, instance history.InstanceID) *history.ExecutionCompleted {
	t.Helper()
	name := started.Name
	program, err := r.registry.OrchestratorOf(name, "")
	if err := errors.Join(err, r.registry.Err()); err != nil {
		t.Fatal(err)
	}
	load := func() *engine.Execution {
		x := engine.New(program, engine.Identity{Hub: "default", Instance: instance})
		x.SetLocals(r.local)
		return x
	}
	x := load()
	defer func() { unload(x) }()
	now := began
	var ready []history.Event
	timers := map[int32]time.Time{}
	arrived := []history.Body{started}
	for r.end == nil {
		events := []history.Event{{ID: history.NoID, Time: now, Body: history.OrchestratorStarted{}}}
		for _, b := range arrived {
			events = append(events, history.Event{ID: history.NoID, Time: now, Body: b})
		}
		if r.rebuild {
			unload(x)
			x = load()
			if err := x.Replay(r.recorded); err != nil {
				t.Fatal(err)
			}
		}
		episode, err := x.Run(events)
		if err != nil {
			t.Fatal(err)
		}
		for i := len(episode.Unrecorded) - 1; i >= 0; i-- {
			at := episode.Unrecorded[i].Index + 1
			events = slices.Delete(events, at, at+1)
		}
		if len(events) > 1 {
			r.recorded = append(append(r.recorded, events...), episode.Decided...)
		}
		r.status, r.end = episode.CustomStatus, episode.Completion()
		if episode.Tags != nil {
			r.tags = episode.Tags
		}
		if r.end != nil && r.end.Status == history.ContinuedAsNew {
			next := *started
			next.ExecutionID, next.Input, next.Tags = history.NextExecution(started.ExecutionID), r.end.Result, r.tags
			next.Version = cmp.Or(r.end.NextVersion, started.Version)
			started, r.end, r.recorded, ready, timers = &next, nil, nil, nil, map[int32]time.Time{}
			unload(x)
			x = load()
			arrived = []history.Body{started}
			for _, e := range episode.Carried {
				arrived = append(arrived, e)
			}
			for _, u := range episode.CarriedUpdates {
				arrived = append(arrived, u)
			}
			continue
		}
		for _, e := range episode.Decided {
			switch b := e.Body.(type) {
			case *history.TaskScheduled:
				if !r.hold[b.Name] {
					ready = append(ready, e)
				}
			case *history.SubOrchestrationInstanceCreated:
				if !r.hold[b.Name] && !b.Detached {
					ready = append(ready, e)
				}
			case *history.SubOrchestrationInstanceCanceled:
				if b.Request {
					ready = append(ready, e)
				}
			case *history.EventSent:
				if b.Instance == instance {
					ready = append(ready, e)
				}
			case *history.EntityOperationCalled:
				ready = append(ready, e)
			case *history.EntityLockRequested:
				if !r.hold["locks"] {
					ready = append(ready, e)
				}
			case *history.EntityOperationSignaled:
				r.signal(t, e)
			case *history.TimerCreated:
				timers[e.ID] = b.FireAt
			case *history.TimerCanceled:
				delete(timers, b.TimerID)
			}
		}
		switch {
		case r.end != nil:
		case len(ready) > 0:
			arrived = []history.Body{r.outcome(t, started.ExecutionID, ready[0])}
			ready = ready[1:]
		case len(timers) > 0:
			first := int32(-1)
			for id, at := range timers {
				if first < 0 || at.Before(timers[first]) || at.Equal(timers[first]) && id < first {
					first = id
				}
			}
			now = timers[first]
			delete(timers, first)
			arrived = []history.Body{&history.TimerFired{TimerID: first, FireAt: now}}
		default:
			t.Fatalf("%s waits for nothing; its history:\n%s", name, r.history())
		}
	}
	return r.end
}

// outcome runs an activity or a child, or raises an event.
func (r *run) outcome(t failer, parent history.ExecutionID, e history.Event) history.Body {
	switch b := e.Body.(type) {
	case *history.EventSent:
		return &history.EventRaised{Name: b.Name, Input: b.Input}
	case *history.EntityLockRequested:
		return &history.EntityLockGranted{TaskID: e.ID}
	case *history.EntityOperationCalled:
		return r.operate(t, e)
	}
	if b, ok := e.Body.(*history.SubOrchestrationInstanceCanceled); ok { // the child does as it is asked
		return &history.SubOrchestrationInstanceFailed{TaskID: b.TaskID, Failure: &history.Failure{Type: history.FailureCanceled, Message: "the child was canceled: " + b.Reason}}
	}
	if b, ok := e.Body.(*history.TaskScheduled); ok && b.Name == ask.Name() {
		return &history.ExecutionCancelRequested{Reason: strings.Trim(string(b.Input), `"`)}
	}
	if b, ok := e.Body.(*history.TaskScheduled); ok && b.Name == tell.Name() {
		var update [2]string
		if err := json.Unmarshal(b.Input, &update); err != nil {
			t.Fatal(err)
		}
		return &history.UpdateRequested{Request: fmt.Sprint("request ", e.ID), Sent: began, Name: update[0], Input: history.Payload(update[1])}
	}
	b, ok := e.Body.(*history.SubOrchestrationInstanceCreated)
	if !ok {
		return r.attempt(t, e)
	}
	child := &run{registry: r.registry, rebuild: r.rebuild, hold: r.hold}
	end := child.execute(t, &history.ExecutionStarted{Name: b.Name, Input: b.Input, ExecutionID: history.ChildExecution(parent, e.ID),
		Parent: &history.ParentInstance{Instance: "instance", Execution: parent, TaskID: e.ID}}, b.Instance)
	if end.Failure != nil {
		return &history.SubOrchestrationInstanceFailed{TaskID: e.ID, Failure: end.Failure}
	}
	return &history.SubOrchestrationInstanceCompleted{TaskID: e.ID, Result: end.Result}
}

func (r *run) attempt(t failer, e history.Event) history.Body {
	task := e.Body.(*history.TaskScheduled)
	fn, ok := r.registry.Activity(task.Name)
	if !ok {
		t.Fatalf("activity %s is not bound", task.Name)
	}
	attempts := 1
	if task.Retry != nil {
		attempts = task.Retry.MaxAttempts
	}
	for n := 1; ; n++ {
		ctx := reprise.ContextWithAttempt(context.Background(), reprise.AttemptInfo{Key: fmt.Sprint("key ", e.ID), Fence: reprise.Fence{Epoch: 1, N: uint64(n)}, Number: n})
		result, failure := fn(ctx, task.Input)
		switch {
		case failure == nil:
			return &history.TaskCompleted{TaskID: e.ID, Result: result}
		case n == attempts || failure.NonRetriable:
			return &history.TaskFailed{TaskID: e.ID, Failure: failure}
		}
	}
}

// local runs an attempt of a local activity.
func (r *run) local(task engine.LocalTask) (history.Payload, *history.Failure, error) {
	fn, ok := r.registry.Activity(task.Name)
	if !ok {
		return nil, nil, fmt.Errorf("activity %s is not bound", task.Name)
	}
	result, failure := fn(reprise.ContextWithAttempt(context.Background(), reprise.AttemptInfo{Key: fmt.Sprint("key ", task.ID), Number: int(task.Attempt)}), task.Input)
	return result, failure, nil
}

func (r *run) history() (text string) {
	for _, e := range r.recorded {
		text += fmt.Sprintf("%v %s\n", e.Time.Sub(began), history.Describe(e))
	}
	return text
}

// unload closes the execution on a goroutine that may end by it.
func unload(x *engine.Execution) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.Close()
	}()
	<-done
}

// both runs the orchestration kept and rebuilt before every episode; the
// histories must be the same.
func both(t *testing.T, registry func() *reprise.Registry, name, input string, hold ...string) *run {
	t.Helper()
	held := map[string]bool{}
	for _, h := range hold {
		held[h] = true
	}
	kept := &run{registry: registry(), hold: held}
	kept.start(t, name, input)
	rebuilt := &run{registry: registry(), hold: held, rebuild: true}
	rebuilt.start(t, name, input)
	if kept.history() != rebuilt.history() {
		t.Errorf("kept:\n%s\nrebuilt:\n%s", kept.history(), rebuilt.history())
	}
	return rebuilt
}
