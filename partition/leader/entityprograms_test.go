package leader

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
)

// fakeEntities run operations of entities. The state is a number as text; an
// operation is a word and may carry an argument behind a colon.
type fakeEntities struct {
	mu      sync.Mutex
	bound   map[string]bool // "-name": nobody binds it
	failing map[string]bool
	slow    map[string]chan struct{}
	limit   int // operations of one run; 0: all
	runs    int
	refused map[history.InstanceID]int // operations that failed because a target has no room
	note    func(format string, args ...any)
}

func newFakeEntities() *fakeEntities {
	return &fakeEntities{bound: map[string]bool{}, failing: map[string]bool{}, slow: map[string]chan struct{}{}, refused: map[history.InstanceID]int{}}
}

func (x *fakeEntities) Operations(ctx context.Context, req EntityRequest) (history.Batch, error) {
	x.mu.Lock()
	x.runs++
	unbound, failing, gate, limit := x.bound["-"+req.Name], x.failing[req.Name], x.slow[req.Name], x.limit
	x.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return history.Batch{}, ctx.Err()
		}
	}
	switch {
	case unbound:
		return history.Batch{}, ErrUnbound
	case failing:
		return history.Batch{}, errors.New("a passing error")
	}
	run := entityRun{batch: history.Batch{State: req.State}, next: req.NextID, crowded: req.Crowded}
	var names []string
	for i, e := range req.Operations {
		if limit > 0 && i == limit {
			break
		}
		operation := operationOf(e.Body)
		if operation == "" {
			return history.Batch{}, fmt.Errorf("%T is no operation", e.Body)
		}
		names = append(names, operation)
		before := len(run.batch.Decided)
		run.batch.Results = append(run.batch.Results, run.operate(operation))
		handOn(run.batch.Decided[before:], *history.TraceOf(e.Body))
	}
	x.mu.Lock()
	for _, target := range run.refused {
		x.refused[target]++
	}
	x.mu.Unlock()
	if x.note != nil {
		x.note("episode of %s: %s", req.Key.Instance, strings.Join(names, " "))
	}
	return run.batch, nil
}

// mend lets everything run.
func (x *fakeEntities) mend() {
	x.mu.Lock()
	defer x.mu.Unlock()
	clear(x.bound)
	clear(x.failing)
	for name, gate := range x.slow {
		close(gate)
		delete(x.slow, name)
	}
}

type entityRun struct {
	batch   history.Batch
	next    int32
	crowded []history.InstanceID
	refused []history.InstanceID
}

func (r *entityRun) operate(text string) history.OperationResult {
	word, arg, _ := strings.Cut(text, ":")
	n, _ := strconv.Atoi(string(r.batch.State))
	switch word {
	case "add":
		by, err := strconv.Atoi(arg)
		if err != nil {
			return history.OperationResult{Failure: &history.Failure{Message: "no number: " + arg}}
		}
		r.batch.State = history.Payload(strconv.Itoa(n + by))
	case "take": // not below 0
		by := number(arg)
		if by > n {
			return history.OperationResult{Failure: &history.Failure{Message: fmt.Sprintf("%d are not there", by)}}
		}
		r.batch.State = history.Payload(strconv.Itoa(n - by))
	case "grow":
		r.batch.State = append(history.Payload("1"), make(history.Payload, number(arg))...)
	case "delete":
		r.batch.State = nil
	case "answer": // so many bytes
		return history.OperationResult{Result: make(history.Payload, number(arg))}
	case "signal": // TARGET/OPERATION
		target, operation, _ := strings.Cut(arg, "/")
		if failure := r.noRoom(target); failure != nil {
			return history.OperationResult{Failure: failure}
		}
		r.decide(&history.EntityOperationSignaled{Target: history.InstanceID(target), Operation: operation})
	case "double": // ME/TARGET: two operations for the target, each of which does that for this one
		me, target, _ := strings.Cut(arg, "/")
		if failure := r.noRoom(target); failure != nil {
			return history.OperationResult{Failure: failure}
		}
		for range 2 {
			r.decide(&history.EntityOperationSignaled{Target: history.InstanceID(target), Operation: "double:" + target + "/" + me})
		}
	case "start": // ID/NAME
		started := child(arg)
		started.Detached = true
		r.decide(started)
	case "raise":
		r.decide(&history.EventSent{Instance: history.InstanceID(arg), Name: "go", Input: r.batch.State})
	case "await": // what entities may not
		r.decide(child(arg))
	}
	if len(r.batch.State) > 100 {
		return history.OperationResult{Result: history.Payload(fmt.Sprintf("%d bytes", len(r.batch.State)))}
	}
	return history.OperationResult{Result: append(history.Payload{}, r.batch.State...)}
}

// noRoom is the failure of who signals a crowded entity; nil: it has room.
func (r *entityRun) noRoom(target string) *history.Failure {
	id := history.InstanceID(target)
	if !slices.Contains(r.crowded, id) {
		return nil
	}
	r.refused = append(r.refused, id)
	return &history.Failure{Type: history.FailureFlooded, Message: target + " has no room"}
}

func (r *entityRun) decide(body history.Body) {
	r.batch.Decided = append(r.batch.Decided, history.Event{ID: r.next, Body: body})
	r.next++
}

func init() {
	maps.Copy(programs, map[string]program{
		"operate":  operate,
		"signal":   signalEntity,
		"withdraw": withdrawCall,
		"critical": critical,
		"recall":   recall,
		"relock":   relock,
		"nested":   nested,
		"announce": announce,
	})
}

// operations reads "TARGET/OPERATION,…".
func operations(arg string) (all []*history.EntityOperationCalled) {
	for _, text := range strings.Split(arg, ",") {
		target, operation, _ := strings.Cut(text, "/")
		all = append(all, &history.EntityOperationCalled{Target: history.InstanceID(target), Operation: operation, Section: history.NoID})
	}
	return all
}

func resultOf(b history.Body) string {
	switch b := b.(type) {
	case *history.EntityOperationCompleted:
		return string(b.Result)
	case *history.EntityOperationFailed:
		return "failed: " + b.Failure.Message
	}
	return ""
}

// operate calls operations at once and returns their outcomes.
func operate(s *seen, arg string) []history.Body {
	var want []history.Body
	for _, call := range operations(arg) {
		want = append(want, call)
	}
	var results []string
	for i := range int32(len(want)) {
		if s.ended[i] == nil {
			return want
		}
		results = append(results, resultOf(s.ended[i]))
	}
	return append(want, done(strings.Join(results, ",")))
}

// signalEntity sends operations, the first of them at once, each of the others a
// minute later than the one before.
func signalEntity(s *seen, arg string) []history.Body {
	var want []history.Body
	for i, call := range operations(arg) {
		signal := &history.EntityOperationSignaled{Target: call.Target, Operation: call.Operation}
		if i > 0 {
			signal.ScheduledTime = s.now.Add(time.Duration(i) * time.Minute)
		}
		want = append(want, signal)
	}
	return append(want, done("signalled"))
}

// withdrawCall gives a call up when an activity is over, and ends after another one.
func withdrawCall(s *seen, arg string) []history.Body {
	want := []history.Body{operations(arg)[0], &history.TaskScheduled{Name: "step"}}
	if s.ended[1] == nil {
		return want
	}
	want = append(want, &history.EntityOperationCanceled{TaskID: 0}, &history.TaskScheduled{Name: "step"})
	if s.ended[3] == nil {
		return want
	}
	return append(want, done("withdrawn"))
}

func lockSet(calls []*history.EntityOperationCalled) (set []history.InstanceID) {
	for _, call := range calls {
		set = append(set, call.Target)
	}
	slices.Sort(set)
	return slices.Compact(set)
}

// critical runs operations one after the other in a critical section over their
// entities, with an activity behind each "@e@x/step". Behind a semicolon it says what
// comes in the end: "fail", "again" (once more as a new execution), "keep" (without
// leaving the section); otherwise it leaves the section.
func critical(s *seen, arg string) []history.Body {
	arg, end, _ := strings.Cut(arg, ";")
	calls := operations(arg)
	want := []history.Body{&history.EntityLockRequested{LockSet: lockSet(calls)}}
	if s.ended[0] == nil {
		return want
	}
	var results []string
	for _, call := range calls {
		id := int32(len(want))
		if call.Operation == "step" {
			want = append(want, &history.TaskScheduled{Name: "step"})
			if s.ended[id] == nil {
				return want
			}
			continue
		}
		call.Section = 0
		want = append(want, call)
		if s.ended[id] == nil {
			return want
		}
		results = append(results, resultOf(s.ended[id]))
	}
	result := strings.Join(results, ",")
	switch end {
	case "fail":
		return append(want, &history.ExecutionCompleted{Status: history.Failed, Failure: &history.Failure{Message: result}})
	case "again":
		if len(s.input) == 0 {
			return append(want, &history.ExecutionCompleted{Status: history.ContinuedAsNew, Result: history.Payload("second")})
		}
	case "keep":
		return append(want, done(result))
	}
	return append(want, &history.EntityUnlockSent{TaskID: 0}, done(result))
}

// recall asks for a critical section and gives it up when an activity is over; it
// ends after another one.
func recall(s *seen, arg string) []history.Body {
	want := []history.Body{&history.EntityLockRequested{LockSet: lockSet(operations(arg))}, &history.TaskScheduled{Name: "step"}}
	if s.ended[1] == nil {
		return want
	}
	want = append(want, &history.EntityUnlockSent{TaskID: 0}, &history.TaskScheduled{Name: "step"})
	if s.ended[3] == nil {
		return want
	}
	return append(want, done("recalled"))
}

// relock leaves a critical section and enters the next one in one episode.
func relock(s *seen, arg string) []history.Body {
	set := lockSet(operations(arg))
	want := []history.Body{&history.EntityLockRequested{LockSet: set}}
	if s.ended[0] == nil {
		return want
	}
	want = append(want, &history.EntityUnlockSent{TaskID: 0}, &history.EntityLockRequested{LockSet: set})
	if s.ended[2] == nil {
		return want
	}
	return append(want, &history.EntityUnlockSent{TaskID: 2}, done("twice"))
}

// nested asks for a critical section inside another one.
func nested(s *seen, arg string) []history.Body {
	set := lockSet(operations(arg))
	return []history.Body{&history.EntityLockRequested{LockSet: set}, &history.EntityLockRequested{LockSet: set}}
}

// announce, in a critical section over the first entity, signals the second after each
// activity.
func announce(s *seen, arg string) []history.Body {
	locked, told, _ := strings.Cut(arg, "/")
	want := []history.Body{&history.EntityLockRequested{LockSet: []history.InstanceID{history.InstanceID(locked)}}}
	if s.ended[0] == nil {
		return want
	}
	for {
		id := int32(len(want))
		want = append(want, &history.TaskScheduled{Name: "step"})
		if s.ended[id] == nil {
			return want
		}
		want = append(want, &history.EntityOperationSignaled{Target: history.InstanceID(told), Operation: "add:1"})
	}
}
