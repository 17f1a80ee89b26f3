package engine

import (
	"runtime"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// stray says that the code of an orchestrator used its handle on a goroutine that it
// has made with the go statement. A panic there would end the process: the node, and
// after it each one that would lead the instance. So that goroutine ends, with its
// deferred functions, and the orchestrator fails where it uses the handle next, or
// where it returns, since what it has of that goroutine is nothing.
type stray struct{ text, stack string }

func (s *stray) String() string { return s.text }

func (s *stray) failure() *history.Failure {
	return &history.Failure{Type: history.FailurePanic, Message: s.text, Stack: s.stack}
}

// strayed is called on a goroutine that must not use the handle. It does not return.
func (x *Execution) strayed(text string) {
	stack, guarded := callerStack()
	if guarded {
		panic(text) // of other user code, whose runner takes it up
	}
	select {
	case x.strays <- &stray{text, stack}:
	default: // it is not the first
	}
	if x.onStray != nil {
		x.onStray(text, stack)
	}
	runtime.Goexit()
}

// OnStray says who hears of each use on a goroutine that is not the orchestrator's own,
// with a text and that goroutine's stack. The function is called on that goroutine. It is
// to be set before the code begins.
func (x *Execution) OnStray(tell func(text, stack string)) { x.onStray = tell }

// callerStack returns the frames of the calling goroutine, from the line of the user's
// code on, and whether something above recovers panics.
func callerStack() (stack string, guarded bool) {
	users := false
	frames(func(f runtime.Frame) bool {
		if slices.Contains(runners, f.Function) {
			guarded = true
			return false
		}
		if users = users || !isMachinery(f); users && !strings.HasPrefix(f.Function, "runtime.") {
			stack += frameText(f)
		}
		return true
	})
	return stack, guarded
}

// minded panics where a stray was seen, so that nothing is decided upon what it left.
func (x *Execution) minded() {
	if x.unwinding || x.stray == nil && len(x.strays) == 0 {
		return
	}
	if !x.running.goroutine.calling() {
		x.strayed(straysToo)
	}
	panic(x.seen())
}

// straysToo is what is said of a goroutine that comes after a stray was seen.
const straysToo = "reprise: an orchestration was used on another goroutine than its own, again"

// seen returns the first stray, or nil. The code's own goroutine calls it.
func (x *Execution) seen() *stray {
	select {
	case s := <-x.strays:
		if x.stray == nil {
			x.stray = s
		}
	default:
	}
	return x.stray
}
