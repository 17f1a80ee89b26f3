package engine

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/reprise-run/reprise/history"
)

var began = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// A story runs one instance. Commands:
//
//	start P              a new execution of program P, and its first episode
//	arrive at=1m         one episode with the events of the input, one a line:
//	                     "completed ID RESULT", "failed ID MESSAGE" (a ! before
//	                     the message: non-retriable), "fired ID", "terminated",
//	                     "child ID RESULT", "child-failed ID MESSAGE",
//	                     "event NAME DATA", "traced NAME DATA" (an event whose
//	                     sender is traced), "operation ID RESULT",
//	                     "operation-failed ID MESSAGE", "granted ID",
//	                     "canceled REASON", "update NAME REQUEST DATA"
//	replay [P]           what was recorded, against program P (the same if left out)
//	upgrade P            go on with the code of program P
//	query NAME           ask the execution, and a rebuilt one, with the input
//	until COUNT SIZE     COUNT episodes, each with a result of the newest activity of
//	                     SIZE bytes, or fewer where the execution ends
//	close                unload the execution
//	history              what was recorded
//
// After each episode the whole history is replayed by a second execution, which
// must decide the same.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		s := &story{}
		defer s.close()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			s.out.Reset()
			switch d.Cmd {
			case "start":
				s.close()
				s.out.Reset()
				*s = story{program: d.CmdArgs[0].Key}
				s.execution = s.load(s.program, s.print)
				s.episode(t, began, &history.ExecutionStarted{Name: s.program, ExecutionID: "e1"})
			case "arrive":
				var at string
				d.ScanArgs(t, "at", &at)
				after, err := time.ParseDuration(at)
				if err != nil {
					t.Fatal(err)
				}
				s.episode(t, began.Add(after), s.bodies(t, d.Input)...)
			case "replay":
				program := s.program
				if len(d.CmdArgs) > 0 {
					program = d.CmdArgs[0].Key
				}
				x := s.load(program, s.print)
				if err := x.Replay(s.recorded); err != nil {
					s.print("%v", err)
				} else {
					s.print("as recorded")
				}
				unload(x)
			case "upgrade":
				s.close()
				s.out.Reset()
				s.program = d.CmdArgs[0].Key
				s.execution = s.load(s.program, s.print)
				if err := s.execution.Replay(s.recorded); err != nil {
					s.print("%v", err)
				}
			case "query":
				second := s.load(s.program, func(string, ...any) {})
				if err := second.Replay(s.recorded); err != nil {
					t.Fatalf("replay: %v", err)
				}
				kept := s.query(s.execution, d)
				if again := s.query(second, d); again != kept {
					t.Errorf("a rebuilt execution answers %s", again)
				}
				unload(second)
				s.print("%s", kept)
			case "until":
				s.until(t, d)
			case "close":
				s.close()
			case "history":
				for i, e := range s.recorded {
					s.print("%d: %s %s", i, e.Time.Sub(began), history.Describe(e))
				}
			default:
				t.Fatalf("unknown command %s", d.Cmd)
			}
			return stable(s.out.String())
		})
	})
}

var (
	place   = regexp.MustCompile(`(?:\S*/)?(\w+\.go):\d+`)
	closure = regexp.MustCompile(`func\d+`)
)

// stable removes what changes with every edit of the tests, or with the machine:
// directories, the numbers of lines and of closures.
func stable(text string) string {
	return closure.ReplaceAllString(place.ReplaceAllString(text, "$1:N"), "funcN")
}

type story struct {
	program   string
	execution *Execution
	recorded  []history.Event
	out       strings.Builder
}

func (s *story) print(format string, args ...any) { fmt.Fprintf(&s.out, format+"\n", args...) }

// load is not inlined: the names of inlined closures, which stacks show, differ
// from caller to caller.
//
//go:noinline
func (s *story) load(program string, say func(string, ...any)) *Execution {
	x := New(func(h *Handle) (history.Payload, *history.Failure) {
		loud := func(format string, args ...any) {
			if h.x.unwinding || !h.Quiet() {
				say("  code: "+format, args...)
			}
		}
		result, failure := programs[program](code{h, loud})
		if failure != nil {
			return nil, failure
		}
		return history.Payload(result), nil
	}, Identity{Hub: "default", Instance: "i"})
	x.SetLocals(func(task LocalTask) (history.Payload, *history.Failure, error) {
		say("  local %q, task %d, attempt %d", task.Name, task.ID, task.Attempt)
		switch {
		case task.Name == "unbound":
			return nil, nil, errors.New("nobody binds it")
		case task.Name == "broken" && task.Attempt == 1:
			return nil, &history.Failure{Message: "broken"}, nil
		}
		return history.Payload(fmt.Sprint(task.Name, "!")), nil, nil
	})
	return x
}

func (s *story) query(x *Execution, d *datadriven.TestData) string {
	result, failure, err := x.Query(d.CmdArgs[0].Key, history.Payload(d.Input))
	switch {
	case err != nil:
		return err.Error()
	case failure != nil:
		return fmt.Sprintf("failed %s: %s", failure.Type, failure.Message)
	}
	return string(result)
}

// until says how many results the execution took, and what the last episode decided.
func (s *story) until(t *testing.T, d *datadriven.TestData) {
	var count, size int
	fmt.Sscan(d.CmdArgs[0].Key, &count)
	fmt.Sscan(d.CmdArgs[1].Key, &size)
	result := history.Payload(strings.Repeat("x", size))
	for i := range count {
		arrived := []history.Event{{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
			{ID: history.NoID, Time: began, Body: &history.TaskCompleted{TaskID: s.recorded[len(s.recorded)-1].ID, Result: result}}}
		episode, err := s.execution.Run(arrived)
		if err != nil {
			t.Fatal(err)
		}
		s.recorded = append(append(s.recorded, arrived...), episode.Decided...)
		if i == count-1 || s.execution.Ended() {
			s.print("after %d: %s", i+1, history.Describe(episode.Decided[0]))
			return
		}
	}
}

func (s *story) close() {
	if s.execution != nil {
		unload(s.execution)
		s.execution = nil
	}
}

func (s *story) episode(t *testing.T, now time.Time, bodies ...history.Body) {
	arrived := []history.Event{{ID: history.NoID, Time: now, Body: history.OrchestratorStarted{}}}
	for _, b := range bodies {
		arrived = append(arrived, history.Event{ID: history.NoID, Time: now, Body: b})
	}
	episode, err := s.execution.Run(arrived)
	if err != nil {
		s.print("error: %v", err)
		return
	}
	for _, e := range episode.Decided {
		s.print("%s", history.Describe(e))
		if c, ok := e.Body.(*history.ExecutionCompleted); ok && c.Failure != nil && c.Failure.Stack != "" {
			s.print("%s", strings.TrimSpace(c.Failure.Stack))
		}
	}
	if episode.CustomStatus != nil {
		s.print("custom status: %s", episode.CustomStatus)
	}
	if episode.Tags != nil {
		s.print("tags: %v", episode.Tags)
	}
	if len(episode.Decided) == 0 {
		s.print("nothing decided")
	}
	if len(episode.Awaits) > 0 {
		s.print("awaits: %s", strings.Join(episode.Awaits, ", "))
	}
	if episode.Buffered > 0 {
		s.print("buffered: %d", episode.Buffered)
	}
	for _, e := range episode.Taken {
		s.print("taken: event %d, %s, arrived %s: %s %s", e.Number, e.Name, e.Arrived.Sub(began), e.Trace.Parent, e.Trace.State)
	}
	if episode.Cancel != nil {
		s.print("carried: canceled %s", episode.Cancel.Reason)
	}
	if len(episode.Updates) > 0 {
		s.print("takes updates: %s", strings.Join(episode.Updates, ", "))
	}
	for _, u := range episode.Unrecorded {
		if u.Failure == nil {
			s.print("left: %s", history.Describe(arrived[u.Index+1]))
		} else {
			s.print("refused: %s, %s", history.Describe(arrived[u.Index+1]), u.Failure.Message)
		}
	}
	for _, b := range episode.CarriedUpdates {
		s.print("carried on: %s", history.Describe(history.Event{ID: history.NoID, Body: b}))
	}
	before := s.recorded
	if !episode.Empty(arrived) {
		s.recorded = append(append(s.recorded[:len(s.recorded):len(s.recorded)], recordable(arrived, episode)...), episode.Decided...)
	}

	second := s.load(s.program, func(string, ...any) {})
	if err := second.Replay(before); err != nil {
		t.Fatalf("replay: %v", err)
	}
	again, err := second.Run(arrived)
	if err != nil {
		t.Fatalf("run after replay: %v", err)
	}
	if !reflect.DeepEqual(again, episode) {
		t.Errorf("a rebuilt execution decided\n%s\nthe kept one\n%s", decisions(again), decisions(episode))
	}
	unload(second)
	third := s.load(s.program, func(string, ...any) {})
	if err := third.Replay(s.recorded); err != nil {
		t.Errorf("replay of the new episode: %v", err)
	}
	unload(third)
}

// recordable is what arrived without what the episode leaves out.
func recordable(arrived []history.Event, episode history.Episode) []history.Event {
	out := slices.Clone(arrived)
	for i, u := range episode.Unrecorded {
		out = slices.Delete(out, u.Index+1-i, u.Index+2-i)
	}
	return out
}

func decisions(episode history.Episode) string {
	return fmt.Sprintf("%q", history.EncodeEvents(episode.Decided))
}

func (s *story) bodies(t *testing.T, input string) []history.Body {
	var out []history.Body
	for line := range strings.Lines(input) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		var id int32
		number, text, _ := strings.Cut(rest, " ")
		fmt.Sscan(number, &id)
		switch word {
		case "completed":
			out = append(out, &history.TaskCompleted{TaskID: id, Result: history.Payload(text)})
		case "failed":
			message, fatal := strings.CutPrefix(text, "!")
			out = append(out, &history.TaskFailed{TaskID: id, Failure: &history.Failure{Message: message, NonRetriable: fatal}})
		case "child":
			out = append(out, &history.SubOrchestrationInstanceCompleted{TaskID: id, Result: history.Payload(text)})
		case "child-failed":
			out = append(out, &history.SubOrchestrationInstanceFailed{TaskID: id, Failure: &history.Failure{Message: text}})
		case "event":
			name, data, _ := strings.Cut(rest, " ")
			out = append(out, &history.EventRaised{Name: name, Input: history.Payload(data)})
		case "traced":
			name, data, _ := strings.Cut(rest, " ")
			out = append(out, &history.EventRaised{Name: name, Input: history.Payload(data), Trace: history.Trace{Parent: "of " + data, State: "a=1"}})
		case "operation":
			out = append(out, &history.EntityOperationCompleted{TaskID: id, Result: history.Payload(text)})
		case "operation-failed":
			out = append(out, &history.EntityOperationFailed{TaskID: id, Failure: &history.Failure{Message: text}})
		case "granted":
			out = append(out, &history.EntityLockGranted{TaskID: id})
		case "update":
			words := strings.SplitN(rest, " ", 3)
			out = append(out, &history.UpdateRequested{Name: words[0], Request: words[1], Input: history.Payload(words[2])})
		case "fired":
			out = append(out, &history.TimerFired{TimerID: id})
		case "canceled":
			out = append(out, &history.ExecutionCancelRequested{Reason: rest})
		case "terminated":
			out = append(out, &history.ExecutionTerminated{Reason: history.Payload(rest)})
		case "scheduled":
			out = append(out, &history.TaskScheduled{Name: rest})
		default:
			t.Fatalf("unknown event %q", line)
		}
	}
	return out
}

// unload closes the execution on a goroutine that may end by it.
func unload(x *Execution) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		x.Close()
	}()
	<-done
}

func TestMalformed(t *testing.T) {
	s := &story{}
	at := func(id int32, b history.Body) history.Event { return history.Event{ID: id, Time: began, Body: b} }
	begin, start := at(history.NoID, history.OrchestratorStarted{}), at(history.NoID, &history.ExecutionStarted{Name: "a"})
	for _, past := range [][]history.Event{
		{start},
		{begin, start, at(0, &history.TaskScheduled{Name: "a"}), start},
		{begin, start, at(0, &history.TaskScheduled{Name: "a"}), {ID: history.NoID}},
		{begin, at(history.NoID, &history.TimerCreated{})},
	} {
		x := s.load("a", s.print)
		if err := x.Replay(past); !errors.Is(err, ErrMalformed) {
			t.Errorf("replay of %v: %v", past, err)
		}
		unload(x)
	}
	x := s.load("a", s.print)
	for _, arrived := range [][]history.Event{nil, {start}} {
		if _, err := x.Run(arrived); !errors.Is(err, ErrMalformed) {
			t.Errorf("run of %v: %v", arrived, err)
		}
	}
	unload(x)
	if _, err := x.Run([]history.Event{begin, start}); !errors.Is(err, ErrEnded) {
		t.Errorf("run after close: %v", err)
	}
}

// The server's own end of an execution is the end of its replay.
func TestReplayEndedByServer(t *testing.T) {
	s := &story{}
	x := s.load("a", s.print)
	past := []history.Event{
		{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
		{ID: history.NoID, Time: began, Body: &history.ExecutionStarted{Name: "a"}},
		{ID: 0, Time: began, Body: &history.TaskScheduled{Name: "a"}},
		{ID: history.NoID, Time: began, Body: &history.ExecutionCompleted{Status: history.Terminated}},
	}
	if err := x.Replay(past); err != nil || !x.Ended() {
		t.Errorf("replay: %v, ended %v", err, x.Ended())
	}
	unload(x)
}

// Whatever deferred functions decide while they unwind leaves no trace in the
// execution either.
func TestUnwindingDecidesNothing(t *testing.T) {
	s := &story{}
	x := s.load("defers", s.print)
	first, err := x.Run([]history.Event{
		{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
		{ID: history.NoID, Time: began, Body: &history.ExecutionStarted{Name: "defers"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	unload(x)
	if len(x.decided) != len(first.Decided) || len(x.pending) != 1 || x.status != nil {
		t.Errorf("decided %v, %d pending, status %q", x.decided, len(x.pending), x.status)
	}
}

// The ID of a decision is a part of it.
func TestOtherID(t *testing.T) {
	s := &story{}
	x := s.load("a", s.print)
	defer unload(x)
	err := x.Replay([]history.Event{
		{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
		{ID: history.NoID, Time: began, Body: &history.ExecutionStarted{Name: "a"}},
		{ID: 5, Time: began, Body: &history.TaskScheduled{Name: "a"}},
	})
	var nondeterminism *history.NondeterminismError
	if !errors.As(err, &nondeterminism) {
		t.Errorf("replay: %v", err)
	}
}
