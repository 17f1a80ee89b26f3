package engine

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/reprise-run/reprise/history"
)

// coroutine is the body of the user's coroutine: the program, from its start to
// its end. The values that it yields carry nothing; a yield means "waiting".
func (x *Execution) coroutine(yield func(struct{}) bool) {
	x.main.yield = yield
	x.main.goroutine.here()
	x.running = &x.main
	defer x.stopOthers()
	returned := false
	defer func() {
		v := recover()
		switch {
		case x.unwinding || x.err != nil || returned:
		case v != nil:
			x.finish(failed(panicFailure(v)))
		default:
			x.finish(failed(&history.Failure{Type: history.FailurePanic, Message: "the orchestrator called runtime.Goexit"}))
			// Goexit would spread to the caller of next, so it stays here until Close.
			x.main.yield(struct{}{})
			x.unwinding = true
		}
		if len(x.others) > 0 && !x.unwinding {
			// So does that of coroutines that are unwound.
			x.main.yield(struct{}{})
			x.unwinding = true
		}
	}()
	result, failure := x.program(&Handle{x})
	returned = true
	if x.continues != nil && failure == nil {
		x.finish(x.continues)
		return
	}
	if failure != nil {
		end := failed(failure)
		if x.endsCanceled {
			end.Status = history.Canceled
		}
		x.finish(end)
		return
	}
	x.finish(&history.ExecutionCompleted{Status: history.Completed, Result: result})
}

func failed(f *history.Failure) *history.ExecutionCompleted {
	return &history.ExecutionCompleted{Status: history.Failed, Failure: f}
}

// block gives the word back to the engine and returns when something happened.
// While the execution is unloaded it does not return: the goroutine unwinds.
func (x *Execution) block() {
	c := x.running
	for {
		if !c.yield(struct{}{}) {
			x.unwinding = true
			runtime.Goexit()
		}
		if !x.locate {
			return
		}
		x.locate = false
		x.site = callSite()
	}
}

// halt stands still until the execution is closed.
func (x *Execution) halt() {
	for {
		x.block()
	}
}

// machinery is the code that stands between the user's line and the engine.
var machinery = []string{
	"github.com/reprise-run/reprise.",
	"github.com/reprise-run/reprise/engine.",
	"runtime.",
	"iter.",
}

// runners are the functions that call the user's.
var runners = []string{
	"github.com/reprise-run/reprise/engine.(*Execution).coroutine",
	"github.com/reprise-run/reprise/engine.(*Execution).body",
	"github.com/reprise-run/reprise/engine.(*Execution).look",
	"github.com/reprise-run/reprise/engine.(*Execution).handling.func1",
	"github.com/reprise-run/reprise/cluster/executor.call",
	"github.com/reprise-run/reprise.(*EntityRun).try",
}

// callSite returns the source line ("file.go:12") of the user's code that
// called into the engine; empty where none did.
func callSite() string {
	site := ""
	frames(func(f runtime.Frame) bool {
		if isMachinery(f) {
			return true
		}
		file := f.File[strings.LastIndexByte(f.File, '/')+1:]
		site = file + ":" + strconv.Itoa(f.Line)
		return false
	})
	return site
}

func isMachinery(f runtime.Frame) bool {
	if strings.HasSuffix(f.File, "_test.go") {
		return false
	}
	for _, prefix := range machinery {
		if strings.HasPrefix(f.Function, prefix) {
			return true
		}
	}
	return false
}

// PanicStack returns the stack of the panic that the calling deferred function
// recovers, down to where the user's code begins: a function and a source line
// for each frame. It has no addresses, so it is the same on every replay.
func PanicStack() string {
	var b strings.Builder
	panicking := false
	frames(func(f runtime.Frame) bool {
		if strings.HasPrefix(f.Function, "runtime.") {
			panicking = panicking || f.Function == "runtime.gopanic"
			return true
		}
		if !panicking {
			return true // the deferred function that recovers
		}
		if slices.Contains(runners, f.Function) {
			return false
		}
		b.WriteString(frameText(f))
		return true
	})
	return b.String()
}

func frameText(f runtime.Frame) string {
	return fmt.Sprintf("%s\n\t%s:%d\n", f.Function, f.File, f.Line)
}

// frames calls visit for each frame of the calling goroutine, innermost first,
// until it returns false.
func frames(visit func(runtime.Frame) bool) {
	pcs := make([]uintptr, 128)
	pcs = pcs[:runtime.Callers(2, pcs)]
	if len(pcs) == 0 {
		return
	}
	fs := runtime.CallersFrames(pcs)
	for {
		f, more := fs.Next()
		if !visit(f) || !more {
			return
		}
	}
}
