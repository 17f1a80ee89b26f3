package engine

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// coroutine is code of an orchestrator with a stack of its own. Only one has the word
// at a time, and it keeps it until it waits.
type coroutine struct {
	next      func() (struct{}, bool)
	stop      func()
	yield     func(struct{}) bool
	goroutine owner
	// ready says whether it can go on; nil until it has waited.
	ready func() bool
	ended bool
}

// CoroutinePanic is what the orchestrator panics with, in a wait, where one of its
// coroutines did.
type CoroutinePanic struct {
	Value string
	Stack string // of the coroutine
}

// String returns what the coroutine panicked with.
func (p *CoroutinePanic) String() string { return p.Value }

// panicFailure is the failure of code that panicked with v. Call it where that is
// recovered.
func panicFailure(v any) *history.Failure {
	stack := PanicStack()
	switch p := v.(type) {
	case *CoroutinePanic:
		stack = p.Stack
	case *stray:
		return p.failure()
	}
	return (&history.Failure{Type: history.FailurePanic, Message: fmt.Sprint(v), Stack: stack}).Bounded()
}

// Go runs fn as a coroutine, from the next wait of the program on. Coroutines run in
// the order in which they were made, each until it waits, so they decide the same on
// replay. If one panics the program does, where it waits, with a *[CoroutinePanic].
// One that has not ended when the program has is unwound as in [Execution.Close].
func (h *Handle) Go(fn func()) {
	if h.enter("begin a coroutine"); h.x.unwinding {
		return
	}
	x, c := h.x, &coroutine{}
	c.next, c.stop = iter.Pull(func(yield func(struct{}) bool) { x.body(c, yield, fn) })
	x.others = append(x.others, c)
}

// body is a coroutine of the program, from its start to its end.
//
//go:noinline
func (x *Execution) body(c *coroutine, yield func(struct{}) bool, fn func()) {
	c.yield = yield
	c.goroutine.here()
	defer func() {
		if v := recover(); v != nil && !x.unwinding && x.err == nil {
			x.panicked = &CoroutinePanic{Value: fmt.Sprint(v), Stack: PanicStack()}
		}
	}()
	fn()
}

// runOthers lets each coroutine that can go on run until it waits, and reports whether
// there was one. The program calls it where it waits.
func (x *Execution) runOthers() bool {
	progress, ended := false, false
	for i := 0; i < len(x.others); i++ { // also those that come meanwhile
		c := x.others[i]
		if c.ready != nil && !c.ready() {
			continue
		}
		progress = true
		x.run(c)
		ended = ended || c.ended
	}
	if ended {
		x.others = slices.DeleteFunc(x.others, func(c *coroutine) bool { return c.ended })
	}
	return progress
}

// run lets a coroutine run until it waits or ends.
func (x *Execution) run(c *coroutine) {
	x.work++
	x.running = c
	defer func() { x.running = &x.main }() // also where the coroutine called Goexit
	_, waiting := c.next()
	x.running = &x.main
	c.ended = !waiting
	if x.err != nil {
		x.halt()
	}
	if p := x.panicked; p != nil {
		x.panicked = nil
		panic(p)
	}
}

// stopOthers unwinds the coroutines that have not ended, the newest first. It does not
// return where one was waiting: unwinding spreads.
func (x *Execution) stopOthers() {
	n := len(x.others)
	if n == 0 {
		return
	}
	c := x.others[n-1]
	x.others = x.others[:n-1]
	defer x.stopOthers()
	c.stop()
}

// waitsForNothing reports whether nothing that can arrive would let the code go on,
// but for its end from outside.
func (x *Execution) waitsForNothing() bool {
	return len(x.pending) == 0 && len(x.settled) == 0 && len(x.events.awaits()) == 0 && len(x.updates.names) == 0
}

// mostPlaces bounds how many waits the text of a deadlock names.
const mostPlaces = 10

// deadlock says where the program and its coroutines wait, though nothing can arrive that
// would let one go on. The program calls it where it waits.
func (x *Execution) deadlock() string {
	text := "reprise: the orchestrator waits, and nothing is pending that could end that: "
	if len(x.others) == 0 {
		return text + "it waits at " + callSite()
	}
	text += "it waits at " + callSite() + ", its coroutines at "
	places := make([]string, 0, mostPlaces)
	for _, c := range x.others[:min(len(x.others), mostPlaces)] {
		places = append(places, x.placeOf(c))
	}
	text += strings.Join(places, ", ")
	if more := len(x.others) - mostPlaces; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// placeOf returns the line of the user's code at which a coroutine waits.
func (x *Execution) placeOf(c *coroutine) string {
	x.running, x.locate = c, true
	defer func() { x.running, x.site = &x.main, "" }()
	c.next()
	return x.site
}
