package engine

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/reprise-run/reprise/history"
)

// randomProgram returns a program that makes random choices, the same for the
// same seed. It leaves out its skipth decision if skip is not negative.
func randomProgram(seed uint64, skip int) Program {
	return func(h *Handle) (history.Payload, *history.Failure) {
		c := code{Handle: h}
		r := rand.New(rand.NewPCG(seed, 0))
		var open []*step
		said, decisions, running := "", 0, 0
		c.OnCancel(func(reason string) { // asks all that is open to end
			said += "canceled " + reason + ";"
			for _, s := range open {
				if !s.done {
					c.AskToEnd(s.Promise, reason)
				}
			}
		})
		for range 2 + r.IntN(12) {
			choice := r.IntN(10)
			if choice < 5 || choice == 9 && len(open) > 0 {
				decisions++
				if decisions-1 == skip {
					continue
				}
			}
			switch {
			case choice < 1 && r.IntN(3) == 0:
				said += c.local(fmt.Sprintf("l%d", r.IntN(2))) + ";"
			case choice < 1 && r.IntN(3) == 0:
				running++
				c.Go(func() {
					said += c.call("g") + ";"
					said += c.await(c.timer(time.Second)) + ";"
					running--
				})
			case choice < 1 && r.IntN(2) == 0:
				name := fmt.Sprintf("e%d", r.IntN(2))
				c.SendEvent(&history.EventSent{Instance: "self", Name: name}) // which the test sends back
				open = append(open, c.event(strings.ToUpper(name)))
			case choice < 1:
				open = append(open, c.child(fmt.Sprintf("c%d", r.IntN(2))))
			case choice < 3:
				open = append(open, c.activity(fmt.Sprintf("a%d", r.IntN(3))))
			case choice < 5:
				open = append(open, c.timer(time.Duration(r.IntN(100))*time.Second))
			case len(open) == 0:
				c.SetCustomStatus(history.Payload(fmt.Sprint("status ", r.IntN(9))))
				if name := fmt.Sprint("tag ", len(said)%3); len(said)%2 == 0 {
					c.SetTag(name, said)
				} else {
					c.DeleteTag(name)
				}
			case choice < 7:
				said += c.await(open[r.IntN(len(open))]) + ";"
			case choice < 9:
				c.Wait(func() bool {
					for _, s := range open {
						if s.done {
							return true
						}
					}
					return false
				})
			default:
				i := r.IntN(len(open))
				if !open[i].done {
					c.Cancel(open[i].Promise, "")
					open = append(open[:i], open[i+1:]...)
				}
			}
		}
		for _, s := range open {
			said += c.await(s) + ";"
		}
		c.Wait(func() bool { return running < 2 }) // one may be left behind
		if r.IntN(5) == 0 {
			panic(said)
		}
		return history.Payload(said), nil
	}
}

// A kept execution, one rebuilt at every episode, and a replay of the whole
// history decide the same, byte for byte, whatever the program and whatever the
// order in which things arrive; code with one decision less is found out.
func FuzzReplay(f *testing.F) {
	for seed := range uint64(200) {
		f.Add(seed, seed*7)
	}
	f.Fuzz(func(t *testing.T, programSeed, arrivalSeed uint64) {
		program := randomProgram(programSeed, -1)
		recorded := runRandomly(t, program, arrivalSeed)
		decisions := 0
		for _, e := range recorded {
			if e.ID != history.NoID {
				decisions++
			}
		}
		if err := replayed(program, recorded); err != nil {
			t.Fatalf("replay: %v", err)
		}
		// Code with one decision less is found out, unless it decides the same after
		// all: what it decides upon the recorded arrivals, episode by episode, says so.
		other := randomProgram(programSeed, int(arrivalSeed%uint64(decisions)))
		same := decidesTheSame(other, recorded)
		err := replayed(other, recorded)
		var nondeterminism *history.NondeterminismError
		if err != nil && !errors.As(err, &nondeterminism) || (err == nil) != same {
			t.Fatalf("the code decides the same: %v, its replay says: %v", same, err)
		}
	})
}

// decidesTheSame is the naive second opinion: it runs the code on the recorded
// arrivals, compares nothing while it does, and then compares all decisions.
func decidesTheSame(program Program, recorded []history.Event) bool {
	x := newRandom(program)
	defer unload(x)
	var decided []string
	for i := 0; i < len(recorded) && !x.Ended(); {
		begin := i
		for i++; i < len(recorded) && recorded[i].ID == history.NoID && !isOrchestratorStarted(recorded[i]); i++ {
		}
		episode, err := x.Run(recorded[begin:i])
		if err != nil {
			return false
		}
		for i < len(recorded) && recorded[i].ID != history.NoID {
			i++
		}
		decided = append(decided, fmt.Sprint("episode at ", begin))
		for _, e := range episode.Decided {
			decided = append(decided, essence(e))
		}
	}
	var want []string
	for i, e := range recorded {
		if isOrchestratorStarted(e) {
			want = append(want, fmt.Sprint("episode at ", i))
		} else if e.ID != history.NoID {
			want = append(want, essence(e))
		}
	}
	return slices.Equal(decided, want)
}

// essence describes a decision by what must be the same on replay.
func essence(e history.Event) string {
	if c, ok := e.Body.(*history.ExecutionCompleted); ok {
		return fmt.Sprint(e.ID, " completed ", c.Status)
	}
	return history.Describe(e)
}

// newRandom returns an execution of a random program.
func newRandom(program Program) *Execution {
	x := New(program, Identity{})
	x.SetLocals(func(task LocalTask) (history.Payload, *history.Failure, error) {
		if task.ID%4 == 3 {
			return nil, &history.Failure{Message: fmt.Sprint("lf", task.ID)}, nil
		}
		return history.Payload(fmt.Sprint("l", task.ID)), nil, nil
	})
	return x
}

func replayed(program Program, recorded []history.Event) error {
	x := newRandom(program)
	defer unload(x)
	return x.Replay(recorded)
}

// runRandomly runs the program to its end and returns its history. Outcomes
// arrive in random order and number, some of them twice.
func runRandomly(t *testing.T, program Program, seed uint64) []history.Event {
	r := rand.New(rand.NewPCG(seed, 1))
	kept := newRandom(program)
	defer unload(kept)
	now := began
	var recorded, pending []history.Event
	arrived := []history.Event{{ID: history.NoID, Time: now, Body: &history.ExecutionStarted{Name: "random", ExecutionID: "e"}}}
	for !kept.Ended() {
		arrived = append([]history.Event{{ID: history.NoID, Time: now, Body: history.OrchestratorStarted{}}}, arrived...)
		episode, err := kept.Run(arrived)
		if err != nil {
			t.Fatal(err)
		}
		rebuilt := newRandom(program)
		if err := rebuilt.Replay(recorded); err != nil {
			t.Fatal(err)
		}
		again, err := rebuilt.Run(arrived)
		unload(rebuilt)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(history.EncodeEvents(episode.Decided), history.EncodeEvents(again.Decided)) || !bytes.Equal(episode.CustomStatus, again.CustomStatus) ||
			!maps.Equal(episode.Tags, again.Tags) ||
			!slices.Equal(episode.Awaits, again.Awaits) || episode.Buffered != again.Buffered {
			t.Fatalf("kept: %v\nrebuilt: %v", episode, again)
		}
		recorded = append(append(recorded, arrived...), episode.Decided...)
		for _, e := range episode.Decided {
			pending = append(pending, outcomes(e, r)...)
		}
		if r.IntN(8) == 0 {
			pending = append(pending, history.Event{ID: history.NoID, Body: &history.ExecutionCancelRequested{Reason: fmt.Sprint(len(pending))}})
		}
		now = now.Add(time.Duration(r.IntN(10)) * time.Second)
		arrived = nil
		for n := min(len(pending), 1+r.IntN(4)); n > 0; n-- {
			i := r.IntN(len(pending))
			pending[i].Time = now
			arrived = append(arrived, pending[i])
			if r.IntN(5) > 0 {
				pending = append(pending[:i], pending[i+1:]...)
			}
		}
	}
	return recorded
}

// outcomes returns what may arrive because of a decision.
func outcomes(e history.Event, r *rand.Rand) []history.Event {
	var body history.Body
	switch e.Body.(type) {
	case *history.TaskScheduled:
		body = &history.TaskCompleted{TaskID: e.ID, Result: history.Payload(fmt.Sprint("r", e.ID))}
		if r.IntN(4) == 0 {
			body = &history.TaskFailed{TaskID: e.ID, Failure: &history.Failure{Message: fmt.Sprint("f", e.ID)}}
		}
	case *history.SubOrchestrationInstanceCreated:
		body = &history.SubOrchestrationInstanceCompleted{TaskID: e.ID, Result: history.Payload(fmt.Sprint("c", e.ID))}
		if r.IntN(4) == 0 {
			body = &history.SubOrchestrationInstanceFailed{TaskID: e.ID, Failure: &history.Failure{Message: fmt.Sprint("f", e.ID)}}
		}
	case *history.EventSent:
		body = &history.EventRaised{Name: e.Body.(*history.EventSent).Name, Input: history.Payload(fmt.Sprint("e", e.ID))}
	case *history.TimerCreated:
		body = &history.TimerFired{TimerID: e.ID}
	default:
		return nil
	}
	return []history.Event{{ID: history.NoID, Body: body}}
}

// The work of an episode depends on what is new, not on the history; a fan-in
// over n activities is O(n) in all.
func TestWork(t *testing.T) {
	arrive := func(x *Execution, bodies ...history.Body) {
		events := []history.Event{{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}}}
		for _, b := range bodies {
			events = append(events, history.Event{ID: history.NoID, Time: began, Body: b})
		}
		if _, err := x.Run(events); err != nil {
			t.Fatal(err)
		}
	}
	sequence := New(func(h *Handle) (history.Payload, *history.Failure) {
		for {
			code{Handle: h}.call("a")
		}
	}, Identity{})
	defer unload(sequence)
	arrive(sequence, &history.ExecutionStarted{})
	first := 0
	for id := range int32(1000) {
		before := sequence.work
		arrive(sequence, &history.TaskCompleted{TaskID: id})
		work := sequence.work - before
		if first == 0 {
			first = work
		}
		if work != first {
			t.Fatalf("episode %d took %d steps, the first %d", id, work, first)
		}
	}
	if len(sequence.pending) != 1 || len(sequence.settled) != 0 {
		t.Errorf("%d pending, %d settled are kept", len(sequence.pending), len(sequence.settled))
	}

	letters := New(func(h *Handle) (history.Payload, *history.Failure) {
		for i := 0; ; i++ { // each reply has a name of its own
			c := code{Handle: h}
			c.await(c.event(fmt.Sprint("reply ", i)))
		}
	}, Identity{})
	defer unload(letters)
	arrive(letters, &history.ExecutionStarted{})
	for i := range 1000 {
		arrive(letters, &history.EventRaised{Name: fmt.Sprint("reply ", i)})
	}
	if got := letters.events.awaits(); !slices.Equal(got, []string{"reply 1000"}) || len(letters.events.asked) != 1 {
		t.Errorf("it waits for %q, and each episode looks at %d names", got, len(letters.events.asked))
	}
	if n := len(letters.events.queues); n != 1 {
		t.Errorf("%d queues are kept, for 1 name that is waited for", n)
	}

	fanIn := func(n int) int {
		x := New(func(h *Handle) (history.Payload, *history.Failure) {
			c := code{Handle: h}
			steps := make([]*step, n)
			for i := range steps {
				steps[i] = c.activity("a")
			}
			for _, s := range steps {
				c.await(s)
			}
			return nil, nil
		}, Identity{})
		defer unload(x)
		arrive(x, &history.ExecutionStarted{})
		for i := range n {
			arrive(x, &history.TaskCompleted{TaskID: int32(n - 1 - i)})
		}
		if !x.Ended() {
			t.Fatal("the fan-in has not ended")
		}
		return x.work
	}
	small, large := fanIn(100), fanIn(1000)
	if large > 10*small {
		t.Errorf("a fan-in of 1000 took %d steps, one of 100 took %d", large, small)
	}
}

func BenchmarkGoroutineID(b *testing.B) {
	for b.Loop() {
		goroutineID()
	}
}

// benchmarkSequence runs 100 activities in sequence.
func benchmarkSequence(b *testing.B, kept bool) {
	program := func(h *Handle) (history.Payload, *history.Failure) {
		for range 100 {
			code{Handle: h}.call("a")
		}
		return nil, nil
	}
	for b.Loop() {
		x := New(program, Identity{})
		var recorded []history.Event
		arrived := []history.Event{{ID: history.NoID, Body: &history.ExecutionStarted{}}}
		for id := int32(0); ; id++ {
			arrived = append([]history.Event{{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}}}, arrived...)
			if !kept && id > 0 {
				unload(x)
				x = New(program, Identity{})
				if err := x.Replay(recorded); err != nil {
					b.Fatal(err)
				}
			}
			episode, err := x.Run(arrived)
			if err != nil {
				b.Fatal(err)
			}
			if x.Ended() {
				break
			}
			recorded = append(append(recorded, arrived...), episode.Decided...)
			arrived = []history.Event{{ID: history.NoID, Body: &history.TaskCompleted{TaskID: id}}}
		}
	}
}

func BenchmarkSequenceKept(b *testing.B)     { benchmarkSequence(b, true) }
func BenchmarkSequenceReplayed(b *testing.B) { benchmarkSequence(b, false) }

// A queue of events is dropped when it holds nothing, and not while something that a wait
// was given may come back to it.
func TestQueuesAreDropped(t *testing.T) {
	var got []string
	x := New(func(h *Handle) (history.Payload, *history.Failure) {
		receive := func(name string, and func()) *Promise {
			return h.Receive(name, func(p *Promise) { got = append(got, name+string(p.Result)); and() })
		}
		nothing := func() {}
		h.Cancel(receive("never", nothing), "nobody sends it")
		receive("go on", nothing)
		h.Wait(func() bool { return len(got) == 1 })
		var second *Promise
		receive("a", func() { h.Cancel(second, "one is enough") }) // when the second one has been given its event
		second = receive("a", nothing)
		h.Wait(func() bool { return len(got) == 2 })
		receive("a", nothing)
		h.Wait(func() bool { return len(got) == 3 })
		h.Cancel(second, "again, when the queue that it waited in is gone")
		h.Wait(func() bool { return false })
		return nil, nil
	}, Identity{})
	defer unload(x)
	events := []history.Event{
		{ID: history.NoID, Time: began, Body: history.OrchestratorStarted{}},
		{ID: history.NoID, Time: began, Body: &history.ExecutionStarted{}},
	}
	for _, e := range []*history.EventRaised{{Name: "a", Input: history.Payload("1")}, {Name: "a", Input: history.Payload("2")}, {Name: "go on"}} {
		events = append(events, history.Event{ID: history.NoID, Time: began, Body: e})
	}
	if _, err := x.Run(events); err != nil {
		t.Fatal(err)
	}
	if want := []string{"go on", "a1", "a2"}; !slices.Equal(got, want) || len(x.events.queues) != 0 || x.events.buffered != 0 {
		t.Errorf("the code got %q, want %q; %d queues and %d events are kept", got, want, len(x.events.queues), x.events.buffered)
	}
}
