package leader

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/reprise-run/reprise/history"
)

// program is a small orchestrator: it looks at what happened and says what it
// wants to have decided by now, as a list that only grows.
type program func(s *seen, arg string) []history.Body

// seen is what happened to an execution so far.
type seen struct {
	now     time.Time
	input   history.Payload
	ended   map[int32]history.Body // how tasks and timers ended, by ID
	began   map[int32]time.Time    // when decisions were made
	events  []history.Event
	raised  []string                          // the data of the external events, in order
	traced  []history.TakenEvent              // those with a trace
	took    int                               // set by the program: how many events it has taken
	updates []*history.UpdateRequested        // that were accepted, in order
	cancel  *history.ExecutionCancelRequested // the first request to end
	awaits  bool                              // set by the program: it waits for events named go
	tags    map[string]string                 // set by the program; nil: unchanged
}

var programs = map[string]program{
	"echo":  echo,
	"seq":   seq,
	"fan":   fan,
	"haste": haste,
	"sleep": sleepFor,
	"race":  race,
	"retry": retrying,
	"big":   big,
	"block": block,
	"huge":  huge,
	"call":  callAll,
	"cast":  cast,
	"drop":  dropChild,
	"heed":  heed,
	"ask":   askChild,

	"odd":     odd,
	"upgrade": upgrade,
	"again":   again,
	"serve":   serve,
	"listen":  listen,
	"tell":    tell,
	"loop":    loop,
	"tag":     tag,
	"with":    with,
}

// replay runs a program over all events and returns what it decides now.
func replay(name string, events []history.Event) (history.Episode, error) {
	kind, arg, _ := strings.Cut(name, ":")
	p := programs[kind]
	if p == nil {
		return history.Episode{}, ErrUnbound
	}
	s := &seen{ended: map[int32]history.Body{}, began: map[int32]time.Time{}, events: events}
	var made, took int
	var trace history.Trace
	for _, e := range events {
		switch body := e.Body.(type) {
		case history.OrchestratorStarted:
			if len(s.traced) > 0 {
				before := *s
				p(&before, arg)
				took = before.took
			}
			s.now = e.Time
		case *history.ExecutionStarted:
			s.input, trace = body.Input, body.Trace.Execution(body.ExecutionID)
		case *history.TaskCompleted:
			s.ended[body.TaskID] = body
		case *history.TaskFailed:
			s.ended[body.TaskID] = body
		case *history.TimerFired:
			s.ended[body.TimerID] = body
		case *history.SubOrchestrationInstanceCompleted:
			s.ended[body.TaskID] = body
		case *history.SubOrchestrationInstanceFailed:
			s.ended[body.TaskID] = body
		case *history.UpdateRequested:
			s.updates = append(s.updates, body)
		case *history.EntityOperationCompleted:
			s.ended[body.TaskID] = body
		case *history.EntityOperationFailed:
			s.ended[body.TaskID] = body
		case *history.EntityLockGranted:
			s.ended[body.TaskID] = body
		case *history.EventRaised:
			if body.Trace.Parent != "" {
				s.traced = append(s.traced, history.TakenEvent{Number: len(s.raised), Name: body.Name, Arrived: e.Time, Trace: body.Trace})
			}
			s.raised = append(s.raised, string(body.Input))
		case *history.ExecutionCancelRequested:
			if s.cancel == nil {
				s.cancel = body
			}
		default:
			s.began[e.ID] = s.now
			made++
		}
	}
	want := p(s, arg)
	if made > len(want) {
		return history.Episode{}, fmt.Errorf("program %s decided %d, now wants %d", name, made, len(want))
	}
	ep := history.Episode{Tags: s.tags}
	if s.awaits {
		ep.Awaits = []string{"go"}
	}
	if kind == "serve" {
		ep.Updates = []string{"job"}
	}
	if kind == "listen" {
		ep.Buffered = len(s.raised)
		if s.ended[0] != nil {
			ep.Buffered = max(len(s.raised)-number(arg), 0)
		}
	}
	for _, e := range s.traced {
		if e.Number >= took && e.Number < s.took {
			ep.Taken = append(ep.Taken, e)
		}
	}
	if len(want) == 0 {
		return ep, nil // it has not decided anything yet
	}
	if end, ok := want[len(want)-1].(*history.ExecutionCompleted); ok && end.Status == history.ContinuedAsNew {
		for i, data := range s.raised[s.took:] {
			carried := &history.EventRaised{Name: "go", Input: history.Payload(data)}
			for _, e := range s.traced {
				if e.Number == s.took+i {
					carried.Trace = e.Trace
				}
			}
			ep.Carried = append(ep.Carried, carried)
		}
		for i, u := range s.updates {
			if string(u.Input) == "next" {
				ep.CarriedUpdates = s.updates[i+1:]
			}
		}
	}
	for i := made; i < len(want); i++ {
		ep.Decided = append(ep.Decided, history.Event{ID: int32(i), Body: want[i]})
	}
	handOn(ep.Decided, trace)
	return ep, nil
}

// handOn gives what is started, asked for and sent the trace of who does that.
func handOn(decided []history.Event, trace history.Trace) {
	for _, e := range decided {
		if own := history.TraceOf(e.Body); own != nil && e.Body.Kind() != history.KindTaskScheduled {
			*own = trace
		}
	}
}

func done(result string) history.Body {
	return &history.ExecutionCompleted{Status: history.Completed, Result: history.Payload(result)}
}

// outcomeOf is the result of a task, or the failure of the orchestration.
func outcomeOf(b history.Body) (string, history.Body) {
	switch b := b.(type) {
	case *history.TaskCompleted:
		return string(b.Result), nil
	case *history.TaskFailed:
		return "", &history.ExecutionCompleted{Status: history.Failed, Failure: b.Failure}
	case *history.SubOrchestrationInstanceCompleted:
		return string(b.Result), nil
	case *history.SubOrchestrationInstanceFailed:
		return "", &history.ExecutionCompleted{Status: history.Failed, Failure: b.Failure}
	}
	return "", nil
}

func number(arg string) int {
	n, err := strconv.Atoi(arg)
	if err != nil {
		return 1
	}
	return n
}

// child starts an orchestration: "ID/NAME", "ID" alone is an echo.
func child(text string) *history.SubOrchestrationInstanceCreated {
	id, name, named := strings.Cut(text, "/")
	if !named {
		name = "echo"
	}
	return &history.SubOrchestrationInstanceCreated{Instance: history.InstanceID(id), Name: name, Input: history.Payload("in " + id)}
}

// callAll starts the children of its argument, separated by commas, and returns what
// they return.
func callAll(s *seen, arg string) []history.Body {
	var want []history.Body
	for _, text := range strings.Split(arg, ",") {
		want = append(want, child(text))
	}
	var results []string
	for i := range int32(len(want)) {
		b := s.ended[i]
		if b == nil {
			return want
		}
		r, failed := outcomeOf(b)
		if failed != nil {
			return append(want, failed)
		}
		results = append(results, r)
	}
	return append(want, done(strings.Join(results, ",")))
}

// listen returns the data of so many events, after an activity.
func listen(s *seen, arg string) []history.Body {
	want := []history.Body{&history.TaskScheduled{Name: "step"}}
	if s.ended[0] == nil {
		return want
	}
	n := number(arg)
	if len(s.raised) < n {
		s.awaits = true
		s.took = len(s.raised)
		return want
	}
	s.took = n
	return append(want, done(strings.Join(s.raised[:n], ",")))
}

// loop continues as new until its input is so much, and then returns the events that
// came on the way. Each time it leaves a timer and an activity behind.
func loop(s *seen, arg string) []history.Body {
	if i := number(string(s.input)); len(s.input) == 0 || i < number(arg) {
		if len(s.input) == 0 {
			i = 0
		}
		return []history.Body{
			&history.TimerCreated{FireAt: s.now.Add(time.Hour)}, &history.TaskScheduled{Name: "step"},
			&history.ExecutionCompleted{Status: history.ContinuedAsNew, Result: history.Payload(strconv.Itoa(i + 1))},
		}
	}
	s.took = len(s.raised)
	return []history.Body{done(strings.Join(s.raised, ","))}
}

// again leaves two activities behind when an event lets it continue as new, and then
// runs another one with the same ID.
func again(s *seen, _ string) []history.Body {
	s.awaits = true
	want := []history.Body{&history.TaskScheduled{Name: "step"}, &history.TaskScheduled{Name: "step"}}
	switch {
	case len(s.input) > 0 && s.ended[0] != nil:
		return append(want, &history.TaskCanceled{TaskID: 1}, done(string(s.ended[0].(*history.TaskCompleted).Result)))
	case len(s.input) == 0 && len(s.raised) > 0:
		return append(want, &history.ExecutionCompleted{Status: history.ContinuedAsNew, Result: history.Payload("again")})
	}
	return want
}

// upgrade continues as new in another version, and returns the event that comes then.
func upgrade(s *seen, arg string) []history.Body {
	switch s.awaits = true; {
	case len(s.input) == 0:
		return []history.Body{&history.ExecutionCompleted{Status: history.ContinuedAsNew, Result: history.Payload("moved"), NextVersion: arg}}
	case len(s.raised) == 0:
		return nil
	}
	return []history.Body{done(s.raised[0])}
}

// tag sets a tag for each event, "name=value", or deletes one, "name"; it sets one more
// and continues as new where it is told "next", and ends where it is told "end".
func tag(s *seen, _ string) []history.Body {
	s.awaits = true
	for _, what := range s.raised {
		switch name, value, set := strings.Cut(what, "="); {
		case what == "next":
			s.raised = nil
			s.setTag("again", "yes")
			return []history.Body{&history.ExecutionCompleted{Status: history.ContinuedAsNew}}
		case what == "end":
			s.awaits = false
			return []history.Body{done("tagged")}
		case set:
			s.setTag(name, value)
		default:
			s.setTag(name, "")
			delete(s.tags, name)
		}
	}
	return nil
}

func (s *seen) setTag(name, value string) {
	if s.tags == nil {
		s.tags = map[string]string{}
		for _, e := range s.events {
			if started, ok := e.Body.(*history.ExecutionStarted); ok {
				maps.Copy(s.tags, started.Tags)
			}
		}
	}
	s.tags[name] = value
}

// tell sends an event to another instance.
func tell(s *seen, arg string) []history.Body {
	return []history.Body{&history.EventSent{Instance: history.InstanceID(arg), Name: "go", Input: s.input}, done("told")}
}

// cast starts a child that has no parent.
func cast(s *seen, arg string) []history.Body {
	detached := child(arg)
	detached.Detached = true
	return []history.Body{detached, done("cast")}
}

// odd starts a child of a version that no key could hold.
func odd(_ *seen, arg string) []history.Body {
	c := child("kid")
	c.Name, c.Version = "nobody", "1\x002"
	if arg == "name" {
		c.Name, c.Version = "no\x00body", ""
	}
	return []history.Body{c}
}

// dropChild cancels a child when an activity is over.
func dropChild(s *seen, arg string) []history.Body {
	want := []history.Body{child(arg), &history.TaskScheduled{Name: "step"}}
	if s.ended[1] == nil {
		return want
	}
	return append(want, &history.SubOrchestrationInstanceCanceled{TaskID: 0}, done("dropped"))
}

// canceled is the end of an orchestration that was cancelled.
func canceled(s *seen) history.Body {
	return &history.ExecutionCompleted{Status: history.Canceled, Failure: &history.Failure{Type: "e", Message: "canceled: " + s.cancel.Reason}}
}

// heed runs an activity. When it is cancelled it runs another one, and ends.
func heed(s *seen, _ string) []history.Body {
	want := []history.Body{&history.TaskScheduled{Name: "step"}}
	if s.cancel == nil {
		if b := s.ended[0]; b != nil {
			return append(want, done(string(b.(*history.TaskCompleted).Result)))
		}
		return want
	}
	want = append(want, &history.TaskCanceled{TaskID: 0, Reason: s.cancel.Reason}, &history.TaskScheduled{Name: "undo"})
	if s.ended[2] == nil {
		return want
	}
	return append(want, canceled(s))
}

// askChild starts a child, asks it to end when it is cancelled itself, and waits for
// that.
func askChild(s *seen, arg string) []history.Body {
	want := []history.Body{child(arg)}
	if s.cancel != nil {
		want = append(want, &history.SubOrchestrationInstanceCanceled{TaskID: 0, Request: true, Reason: s.cancel.Reason})
	}
	b := s.ended[0]
	switch {
	case b == nil:
		return want
	case s.cancel != nil:
		return append(want, canceled(s))
	}
	r, failed := outcomeOf(b)
	if failed != nil {
		return append(want, failed)
	}
	return append(want, done(r))
}

func echo(s *seen, _ string) []history.Body { return []history.Body{done(string(s.input))} }

func seq(s *seen, arg string) []history.Body {
	var want []history.Body
	var results []string
	for i := range int32(number(arg)) {
		want = append(want, &history.TaskScheduled{Name: "step", Input: history.Payload(fmt.Sprintf("%d", i))})
		b := s.ended[i]
		if b == nil {
			return want
		}
		r, failed := outcomeOf(b)
		if failed != nil {
			return append(want, failed)
		}
		results = append(results, r)
	}
	return append(want, done(strings.Join(results, ",")))
}

func fan(s *seen, arg string) []history.Body {
	n := number(arg)
	var want []history.Body
	for i := range n {
		want = append(want, &history.TaskScheduled{Name: "step", Input: history.Payload(fmt.Sprintf("%d", i))})
	}
	var results []string
	for i := range int32(n) {
		b := s.ended[i]
		if b == nil {
			return want
		}
		r, failed := outcomeOf(b)
		if failed != nil {
			return append(want, failed)
		}
		results = append(results, r)
	}
	return append(want, done(strings.Join(results, ",")))
}

// haste is a fan of activities that have to begin and to end in time.
func haste(s *seen, arg string) []history.Body {
	want := fan(s, arg)
	for _, b := range want {
		if task, ok := b.(*history.TaskScheduled); ok {
			task.Options = &history.TaskOptions{ScheduleToStart: time.Hour, ScheduleToClose: 2 * time.Hour}
		}
	}
	return want
}

func sleepFor(s *seen, arg string) []history.Body {
	d, err := time.ParseDuration(arg)
	if err != nil {
		panic(err)
	}
	began, ok := s.began[0]
	if !ok {
		began = s.now
	}
	want := []history.Body{&history.TimerCreated{FireAt: began.Add(d)}}
	if s.ended[0] == nil {
		return want
	}
	return append(want, done("slept"))
}

// race lets a task run against a timer and cancels the loser.
func race(s *seen, arg string) []history.Body {
	d, err := time.ParseDuration(arg)
	if err != nil {
		panic(err)
	}
	began, ok := s.began[0]
	if !ok {
		began = s.now
	}
	want := []history.Body{
		&history.TaskScheduled{Name: "step", Input: history.Payload("race")},
		&history.TimerCreated{FireAt: began.Add(d)},
	}
	for _, e := range s.events {
		switch body := e.Body.(type) {
		case *history.TaskCompleted:
			if body.TaskID == 0 {
				return append(want, &history.TimerCanceled{TimerID: 1}, done("task won"))
			}
		case *history.TimerFired:
			want = append(want, &history.TaskCanceled{TaskID: 0},
				&history.TaskScheduled{Name: "step", Input: history.Payload("after")})
			r, _ := outcomeOf(s.ended[3])
			if s.ended[3] == nil {
				return want
			}
			return append(want, done("timer won, then "+r))
		}
	}
	return want
}

func retrying(s *seen, arg string) []history.Body {
	policy := &history.RetryPolicy{MaxAttempts: number(arg), First: time.Second, Backoff: 2, MaxInterval: 3 * time.Second, NonRetryable: []string{"fatal"}}
	want := []history.Body{&history.TaskScheduled{Name: "flaky", Input: history.Payload("x"), Retry: policy}}
	b := s.ended[0]
	if b == nil {
		return want
	}
	r, failed := outcomeOf(b)
	if failed != nil {
		return append(want, failed)
	}
	return append(want, done(r))
}

// big gives its input to an activity and returns the result.
func big(s *seen, _ string) []history.Body {
	want := []history.Body{&history.TaskScheduled{Name: "step", Input: s.input}}
	b := s.ended[0]
	if b == nil {
		return want
	}
	r, _ := outcomeOf(b)
	return append(want, done(r))
}

// block waits for its executor's gate in each episode, with one activity.
func block(s *seen, arg string) []history.Body { return seq(s, arg) }

// huge decides a payload over the limit.
func huge(*seen, string) []history.Body {
	return []history.Body{&history.TaskScheduled{Name: "step", Input: make(history.Payload, history.MaxPayloadBytes+1)}}
}

// serve replies to updates, one after the other, with what an activity makes of them.
// "end" ends it, with so many updates left as came before; "next" lets it continue as
// new; "large" is replied to at once, with half of the largest payload.
func serve(s *seen, _ string) []history.Body {
	var want []history.Body
	reply := func(u *history.UpdateRequested, result history.Payload, failure *history.Failure) {
		want = append(want, &history.UpdateCompleted{Request: u.Request, Sent: u.Sent, Name: u.Name, Result: result, Failure: failure})
	}
	for i, u := range s.updates {
		switch string(u.Input) {
		case "end", "next":
			reply(u, u.Input, nil)
			for _, left := range s.updates[i+1:] {
				if string(u.Input) == "end" {
					reply(left, nil, &history.Failure{Type: history.FailureEnded, Message: "too late"})
				}
			}
			if string(u.Input) == "next" {
				return append(want, &history.ExecutionCompleted{Status: history.ContinuedAsNew})
			}
			return append(want, done("served"))
		case "large":
			reply(u, make(history.Payload, history.MaxPayloadBytes/2), nil)
			continue
		}
		want = append(want, &history.TaskScheduled{Name: "step", Input: u.Input})
		b := s.ended[int32(len(want)-1)]
		if b == nil {
			return want
		}
		result, _ := outcomeOf(b)
		reply(u, history.Payload(result), nil)
	}
	return want
}

// refuse takes the updates out of what arrived that say so, and those that are not
// served.
func refuse(req EpisodeRequest) (arrived []history.Event, unrecorded []history.Unrecorded) {
	ended := false
	for i, e := range req.Arrived {
		u, ok := e.Body.(*history.UpdateRequested)
		switch {
		case !ok:
			arrived = append(arrived, e)
		case !strings.HasPrefix(req.Name, "serve"):
			unrecorded = append(unrecorded, history.Unrecorded{Index: i - 1, Failure: &history.Failure{Type: history.FailureNoHandler, Message: "it handles none"}})
		case string(u.Input) == "bad":
			unrecorded = append(unrecorded, history.Unrecorded{Index: i - 1, Failure: &history.Failure{Message: "bad input"}})
		case string(u.Input) == "behind" && ended:
			unrecorded = append(unrecorded, history.Unrecorded{Index: i - 1})
		default:
			ended = ended || string(u.Input) == "next"
			arrived = append(arrived, e)
		}
	}
	return arrived, unrecorded
}
