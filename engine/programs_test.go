package engine

import (
	"fmt"
	"math"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
)

// code is what the programs of the stories are written with: a handle with the
// small comforts that the authoring API has.
type code struct {
	*Handle
	say func(format string, args ...any)
}

// step is a promise with what the tests want to know of it.
type step struct {
	*Promise
	done bool
}

func (c code) activity(name string) *step {
	s := &step{}
	s.Promise = c.Schedule(&history.TaskScheduled{Name: name}, func(*Promise) { s.done = true })
	return s
}

func (c code) timer(d time.Duration) *step {
	s := &step{}
	s.Promise = c.CreateTimer(c.Now().Add(d), func(*Promise) { s.done = true })
	return s
}

func (c code) child(name string) *step {
	s := &step{}
	s.Promise = c.StartChild(&history.SubOrchestrationInstanceCreated{Name: name}, func(*Promise) { s.done = true })
	return s
}

func (c code) event(name string) *step {
	s := &step{}
	s.Promise = c.Receive(name, func(*Promise) { s.done = true })
	return s
}

func (c code) await(s *step) string {
	c.Wait(func() bool { return s.done })
	if s.Failure != nil {
		return "failed: " + s.Failure.Message
	}
	return string(s.Result)
}

func (c code) call(name string) string { return c.await(c.activity(name)) }

func (c code) local(name string) string {
	result, failure := c.RunLocal(&LocalTask{LocalTaskRun: history.LocalTaskRun{Name: name}})
	if failure != nil {
		return "failed: " + failure.Message
	}
	return string(result)
}

//go:noinline
func explode() { panic("boom") }

// programs are what the stories run, by name.
var programs = map[string]func(c code) (string, *history.Failure){
	"nothing": func(c code) (string, *history.Failure) { return "done", nil },
	"a":       func(c code) (string, *history.Failure) { return c.call("a"), nil },
	"b":       func(c code) (string, *history.Failure) { return c.call("b"), nil },
	"ab":      func(c code) (string, *history.Failure) { return c.call("a") + c.call("b"), nil },
	"ba":      func(c code) (string, *history.Failure) { return c.call("b") + c.call("a"), nil },
	"both": func(c code) (string, *history.Failure) {
		a, b := c.activity("a"), c.activity("b")
		return c.await(a) + c.await(b), nil
	},
	"both-swapped": func(c code) (string, *history.Failure) {
		b, a := c.activity("b"), c.activity("a")
		return c.await(a) + c.await(b), nil
	},
	"one-of-both": func(c code) (string, *history.Failure) {
		return c.await(c.activity("a")), nil
	},
	"three": func(c code) (string, *history.Failure) {
		a, b, _ := c.activity("a"), c.activity("b"), c.activity("c")
		return c.await(a) + c.await(b), nil
	},
	"sleep":          func(c code) (string, *history.Failure) { c.await(c.timer(time.Minute)); return "woke", nil },
	"sleep-longer":   func(c code) (string, *history.Failure) { c.await(c.timer(time.Hour)); return "woke", nil },
	"sleep-for-ever": func(c code) (string, *history.Failure) { c.await(c.timer(math.MaxInt64)); return "woke", nil },
	"sleep-sleep": func(c code) (string, *history.Failure) {
		c.await(c.timer(time.Minute))
		c.await(c.timer(time.Minute))
		return "woke at " + c.Now().Format(time.TimeOnly), nil
	},
	"race": func(c code) (string, *history.Failure) { // an activity against a timer
		a, t := c.activity("a"), c.timer(time.Minute)
		c.Wait(func() bool { return a.done || t.done })
		if a.done {
			c.Cancel(t.Promise, "")
			return c.await(a), nil
		}
		c.Cancel(a.Promise, "")
		return "late", nil
	},
	"race-keeps-timer": func(c code) (string, *history.Failure) {
		a, t := c.activity("a"), c.timer(time.Minute)
		c.Wait(func() bool { return a.done || t.done })
		return "kept", nil
	},
	"cancel-other": func(c code) (string, *history.Failure) {
		a, b := c.activity("a"), c.activity("b")
		c.Cancel(a.Promise, "")
		return c.await(b), nil
	},
	"cancel-this": func(c code) (string, *history.Failure) {
		a, b := c.activity("a"), c.activity("b")
		c.Cancel(b.Promise, "")
		return c.await(a), nil
	},
	"retry": func(c code) (string, *history.Failure) { // a handler in code: schedule anew after a timer
		for wait := time.Second; ; wait *= 2 {
			s := c.activity("flaky")
			if r := c.await(s); s.Failure == nil {
				return r, nil
			} else if s.Failure.NonRetriable {
				return "", s.Failure
			}
			c.await(c.timer(wait))
		}
	},
	"heeds": func(c code) (string, *history.Failure) { // cleans up when it is cancelled
		why := ""
		c.OnCancel(func(reason string) { why = reason })
		a := c.activity("a")
		c.Wait(func() bool { return a.done || why != "" })
		if !a.done {
			c.Cancel(a.Promise, why)
			undone := c.call("undo")
			c.EndCanceled()
			return "", &history.Failure{Message: "canceled: " + why + ", " + undone}
		}
		return c.await(a), nil
	},
	"asks": func(c code) (string, *history.Failure) { // asks its child to end, and awaits it
		kid := c.child("kid")
		c.OnCancel(func(reason string) { c.AskToEnd(kid.Promise, reason) })
		return c.await(kid), nil
	},
	"drops-kid": func(c code) (string, *history.Failure) { // terminates it
		kid := c.child("kid")
		canceled := false
		c.OnCancel(func(reason string) { c.Cancel(kid.Promise, reason); canceled = true })
		c.Wait(func() bool { return kid.done || canceled })
		return c.await(c.activity("after")), nil
	},
	"rounds": func(c code) (string, *history.Failure) { // continues as new, whatever it hears
		c.OnCancel(func(reason string) { c.say("canceled: %s", reason) })
		c.call("a")
		c.ContinueAsNew(history.Payload("next"), "")
		return "", nil
	},
	"coroutines": func(c code) (string, *history.Failure) { // two chains side by side
		var said []string
		defer func() { c.say("deferred, of the program") }()
		for _, name := range []string{"left", "right"} {
			c.Go(func() {
				defer func() { c.say("deferred, of %s", name) }()
				said = append(said, c.call(name+" 1"))
				said = append(said, c.call(name+" 2"))
			})
		}
		c.Wait(func() bool { return len(said) == 4 })
		return strings.Join(said, " "), nil
	},
	"coroutines-swapped": func(c code) (string, *history.Failure) {
		for _, name := range []string{"right", "left"} {
			c.Go(func() { c.call(name + " 1") })
		}
		return c.await(c.event("go")), nil
	},
	"nested": func(c code) (string, *history.Failure) { // a coroutine makes another
		result := ""
		c.Go(func() {
			c.Go(func() { result = c.call("inner") })
			c.call("outer")
		})
		c.Wait(func() bool { return result != "" })
		return result, nil
	},
	"leaves": func(c code) (string, *history.Failure) { // ends before its coroutine
		c.Go(func() {
			defer func() { c.say("deferred, recovered %v", recover()); c.call("undo"); c.say("never") }()
			c.call("a")
		})
		return c.call("b"), nil
	},
	"bursts": func(c code) (string, *history.Failure) { // a coroutine panics
		defer func() { c.say("undone: %s", c.call("undo")) }()
		c.Go(func() { c.call("a"); explode() })
		c.await(c.event("go"))
		return "", nil
	},
	"goexits": func(c code) (string, *history.Failure) {
		c.Go(func() { c.call("a"); runtime.Goexit() })
		c.await(c.event("go"))
		return "", nil
	},
	"dead": func(c code) (string, *history.Failure) { // everything waits for everything
		free := false
		c.Go(func() { c.Wait(func() bool { return free }) })
		c.call("a")
		c.Wait(func() bool { return free })
		return "", nil
	},
	"strays": func(c code) (string, *history.Failure) { // a coroutine waits on a foreign goroutine
		c.Go(func() {
			done := make(chan struct{})
			go func() {
				defer close(done)
				c.Wait(func() bool { return false })
			}()
			<-done
		})
		return c.call("a"), nil
	},
	"children": func(c code) (string, *history.Failure) {
		first, second := c.child("kid"), c.child("kid")
		c.StartDetached(&history.SubOrchestrationInstanceCreated{Name: "stray", Instance: "far"})
		return c.await(first) + c.await(second), nil
	},
	"children-renamed": func(c code) (string, *history.Failure) {
		first, second := c.child("kid"), c.child("boy")
		return c.await(first) + c.await(second), nil
	},
	"children-kept": func(c code) (string, *history.Failure) { // none is detached
		first, second, _ := c.child("kid"), c.child("kid"), c.StartChild(&history.SubOrchestrationInstanceCreated{Name: "stray", Instance: "far"}, func(*Promise) {})
		return c.await(first) + c.await(second), nil
	},
	"child-or-timer": func(c code) (string, *history.Failure) {
		kid, t := c.child("kid"), c.timer(time.Minute)
		c.Wait(func() bool { return kid.done || t.done })
		if kid.done {
			return c.await(kid), nil
		}
		c.Cancel(kid.Promise, "")
		return "late", nil
	},
	"events": func(c code) (string, *history.Failure) {
		first, second, other := c.event("Go"), c.event("go"), c.event("stop")
		return c.await(second) + c.await(first) + c.await(other), nil
	},
	"event-later": func(c code) (string, *history.Failure) {
		c.call("a")
		return c.await(c.event("go")) + c.await(c.event("GO")), nil
	},
	"event-or-timer": func(c code) (string, *history.Failure) {
		e, t := c.event("go"), c.timer(time.Minute)
		c.Wait(func() bool { return e.done || t.done })
		if !e.done {
			c.Cancel(e.Promise, "")
			return "late, then " + c.await(c.event("go")), nil
		}
		c.Cancel(t.Promise, "")
		return c.await(e), nil
	},
	"event-given-back": func(c code) (string, *history.Failure) {
		c.call("a")
		c.Cancel(c.event("go").Promise, "") // it has arrived, and nobody has looked
		return c.await(c.event("go")), nil
	},
	"sends": func(c code) (string, *history.Failure) {
		c.SendEvent(&history.EventSent{Instance: "other", Name: "hi", Input: history.Payload("x")})
		return c.call("a"), nil
	},
	"sends-elsewhere": func(c code) (string, *history.Failure) {
		c.SendEvent(&history.EventSent{Instance: "another", Name: "hi", Input: history.Payload("x")})
		return c.call("a"), nil
	},
	"patch-before": func(c code) (string, *history.Failure) {
		return c.call("a") + c.call("b") + c.call("c"), nil
	},
	"patch-new": func(c code) (string, *history.Failure) { // b became two steps
		result := c.call("a")
		if c.Patched("two-steps") {
			result += c.call("b1") + c.call("b2")
		} else {
			result += c.call("b")
		}
		if result += c.call("c"); c.Patched("two-steps") {
			result += " patched"
		}
		return fmt.Sprint(result, " ", c.HistoryLength()), nil
	},
	"patch-deprecated": func(c code) (string, *history.Failure) {
		result := c.call("a")
		c.DeprecatePatch("two-steps")
		return result + c.call("b1") + c.call("b2") + c.call("c"), nil
	},
	"patch-after": func(c code) (string, *history.Failure) {
		return c.call("a") + c.call("b1") + c.call("b2") + c.call("c"), nil
	},
	"price": func(c code) (string, *history.Failure) { // updates set a price until it is final
		price, final := "0", false
		c.CheckUpdates("set", func(in history.Payload) (history.Payload, *history.Failure) {
			if string(in) <= price {
				return nil, &history.Failure{Message: "it must rise above " + price}
			}
			return nil, nil
		})
		c.HandleUpdates("set", func(u *Update) {
			before := price
			price = string(u.Input)
			c.SetCustomStatus(history.Payload("price " + price))
			switch price {
			case "5":
				c.activity("tell")
			case "6":
				panic("boom")
			case "7":
				c.await(c.activity("tell"))
			case "8":
				return // never replied to
			}
			c.Reply(u, history.Payload("was "+before), nil)
			c.Reply(u, history.Payload("again"), nil)
		})
		c.HandleUpdates("finish", func(u *Update) {
			c.Reply(u, history.Payload("final"), nil)
			final = true
		})
		c.Wait(func() bool { return final })
		return price, nil
	},
	"unpriced": func(c code) (string, *history.Failure) { // it forgot the updates
		final := false
		c.HandleUpdates("finish", func(u *Update) { final = true })
		c.Wait(func() bool { return final })
		return "", nil
	},
	"serves": func(c code) (string, *history.Failure) { // takes updates one after the other, and waits for each
		var done []string
		for len(done) < 2 {
			s := &step{}
			s.Promise = c.ReceiveUpdate("job", func(*Promise) { s.done = true })
			c.await(s)
			result := c.call(string(s.Update().Input))
			done = append(done, result)
			c.Reply(s.Update(), history.Payload(result), nil)
		}
		return strings.Join(done, ","), nil
	},
	"serves-on": func(c code) (string, *history.Failure) { // leaves one open, and goes on as new
		s := &step{}
		s.Promise = c.ReceiveUpdate("job", func(*Promise) { s.done = true })
		c.await(s)
		c.call("a")
		c.ContinueAsNew(history.Payload("next"), "")
		return "", nil
	},
	"update-or-timer": func(c code) (string, *history.Failure) {
		s, t := &step{}, c.timer(time.Minute)
		s.Promise = c.ReceiveUpdate("job", func(*Promise) { s.done = true })
		c.Wait(func() bool { return s.done || t.done })
		if !s.done {
			c.Cancel(s.Promise, "")
			s = &step{}
			s.Promise = c.ReceiveUpdate("job", func(*Promise) { s.done = true })
			c.await(s)
			c.Reply(s.Update(), history.Payload("late"), nil)
			return "late", nil
		}
		c.Reply(s.Update(), nil, &history.Failure{Message: "not so soon"})
		return "in time", nil
	},
	"asked": func(c code) (string, *history.Failure) { // answers queries while it counts
		n := 0
		c.HandleQuery("count", func(in history.Payload) (history.Payload, *history.Failure) {
			switch string(in) {
			case "decide":
				c.activity("x")
			case "status":
				c.SetCustomStatus(history.Payload("x"))
			case "cancel":
				c.Cancel(&Promise{}, "")
			case "event":
				c.event("x")
			case "wait":
				c.Wait(func() bool { return false })
			case "refuse":
				return nil, &history.Failure{Message: "no"}
			}
			return history.Payload(fmt.Sprint(n)), nil
		})
		for n < 2 {
			c.call("a")
			n++
		}
		c.HandleQuery("late", func(history.Payload) (history.Payload, *history.Failure) { return history.Payload("here"), nil })
		c.call("b")
		return "done", nil
	},
	"locals": func(c code) (string, *history.Failure) {
		return c.local("x") + c.local("y") + c.call("a") + c.local("z"), nil
	},
	"locals-swapped": func(c code) (string, *history.Failure) {
		return c.local("y") + c.local("x") + c.call("a") + c.local("z"), nil
	},
	"local-again": func(c code) (string, *history.Failure) {
		task := &LocalTask{LocalTaskRun: history.LocalTaskRun{Name: "broken"}}
		for {
			task.Attempt++
			if result, failure := c.RunLocal(task); failure == nil {
				return string(result), nil
			}
			c.await(c.timer(time.Minute))
		}
	},
	"local-unbound": func(c code) (string, *history.Failure) {
		return c.call("a") + c.local("unbound"), nil
	},
	"local-deferred": func(c code) (string, *history.Failure) {
		defer c.say("outermost deferred")
		defer func() { c.say("came back with %s", c.local("cleanup")) }()
		return c.call("a"), nil
	},
	"fail":  func(c code) (string, *history.Failure) { return "", &history.Failure{Message: "no", Code: "shop.no"} },
	"panic": func(c code) (string, *history.Failure) { c.call("a"); panic("boom") },
	"recovers": func(c code) (string, *history.Failure) {
		func() {
			defer func() { c.say("recovered %v", recover()) }()
			panic("boom")
		}()
		return c.call("a"), nil
	},
	"goexit": func(c code) (string, *history.Failure) {
		defer c.say("deferred")
		c.call("a")
		runtime.Goexit()
		return "", nil
	},
	"tags": func(c code) (string, *history.Failure) { // after each step
		c.SetTag("stage", "began")
		c.call("a")
		if err := c.SetTag("long", strings.Repeat("x", history.MaxTagsBytes)); err == nil {
			c.say("a tag that is too long was set")
		}
		for _, bad := range [][2]string{{"", "x"}, {"\xff", "x"}, {"x", "\xff"}} {
			c.say("%v", c.SetTag(bad[0], bad[1]))
		}
		c.SetTag("paid", "yes")
		c.SetTag("stage", "half")
		c.call("b")
		c.DeleteTag("stage")
		c.DeleteTag("there is none")
		c.call("c")
		c.DeleteTag("paid")
		return fmt.Sprint(c.call("d"), c.Tags()), nil
	},
	"long": func(c code) (string, *history.Failure) { // until its history is long
		for !c.IsHistoryLong() {
			c.call("a")
		}
		return fmt.Sprint(c.HistoryLength()), nil
	},
	"status": func(c code) (string, *history.Failure) {
		c.SetCustomStatus(history.Payload("first"))
		c.call("a")
		c.SetCustomStatus(history.Payload("second"))
		return c.call("b"), nil
	},
	"says": func(c code) (string, *history.Failure) {
		c.say("before")
		c.call("a")
		c.say("after")
		return c.call("b"), nil
	},
	"defers": func(c code) (string, *history.Failure) {
		defer c.say("outermost deferred")
		defer func() {
			for i := 0; ; i++ { // would never end if the wait returned
				c.say("loop %d", i)
				c.await(c.timer(time.Second))
			}
		}()
		defer func() {
			c.say("recover gives %v", recover())
			undo := c.activity("undo")
			c.event("go") // a wait for nothing at all would panic
			c.say("started an activity")
			c.Cancel(undo.Promise, "")
			c.SetCustomStatus(history.Payload("undone"))
			c.say("result %q", c.await(undo))
		}()
		defer func() {
			defer func() { c.say("recovered %v", recover()) }()
			panic("in a deferred function")
		}()
		return c.call("a"), nil
	},
	"compensates": func(c code) (string, *history.Failure) { // a durable wait while it panics
		defer c.say("outer deferred")
		defer func() { c.say("undone: %s", c.call("undo")) }()
		c.call("a")
		panic("boom")
	},
	"defer-panics": func(c code) (string, *history.Failure) {
		defer c.say("outer deferred")
		defer func() { panic("in a deferred function") }()
		return c.call("a"), nil
	},
	"stubborn": func(c code) (string, *history.Failure) { // swallows everything, for ever
		for {
			func() {
				defer func() { _ = recover() }()
				c.call("a")
			}()
		}
	},
	"leak": func(c code) (string, *history.Failure) { // waits on foreign goroutines
		c.activity("a")
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() { c.Wait(func() bool { return false }) })
		}
		all.Wait()
		return "what they left", nil
	},
	"leak-decides": func(c code) (string, *history.Failure) { // and does not mind
		var one sync.WaitGroup
		one.Go(func() { c.Wait(func() bool { return false }) })
		one.Wait()
		defer func() { _ = recover() }()
		c.activity("upon what it left")
		return "", nil
	},
}
