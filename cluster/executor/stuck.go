package executor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Stuck is user code that has not given the word back for longer than
// [Options.TurnLimit].
type Stuck struct {
	Hub       history.TaskHub
	Instance  history.InstanceID
	Execution history.ExecutionID
	Name      string
	Since     time.Time
	// Unloading is set where deferred functions of an unloaded execution hang.
	Unloading bool
	// Stack is where the code is: functions and lines, innermost first.
	Stack string
}

// Stuck lists code that does not yield, the longest first. It is for people: it
// looks at every goroutine of the process.
func (e *Orchestrators) Stuck() []Stuck {
	turns := e.stuckTurns()
	if len(turns) == 0 {
		return nil
	}
	profile := goroutines()
	stuck := make([]Stuck, len(turns))
	for i, t := range turns {
		stuck[i] = Stuck{t.key.Hub, t.key.Instance, t.key.Execution, t.name, t.since, t.unloading, stackOf(profile, t.label)}
	}
	slices.SortFunc(stuck, func(a, b Stuck) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Instance, b.Instance))
	})
	return stuck
}

// CountStuck returns how much code does not yield. It is cheap.
func (e *Orchestrators) CountStuck() int { return len(e.stuckTurns()) }

func (e *Orchestrators) stuckTurns() (turns []*turn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.busy {
		if time.Since(t.since) >= e.options.TurnLimit {
			turns = append(turns, t)
		}
	}
	for t := range e.unloading {
		if time.Since(t.since) >= e.options.TurnLimit {
			turns = append(turns, t)
		}
	}
	return turns
}

// watchLocked makes sure that code which does not yield is noticed. Call with mu
// held, when code has been given the word.
func (e *Orchestrators) watchLocked() {
	switch {
	case e.watching || e.closed:
		return
	case e.watch == nil:
		e.watch = time.AfterFunc(e.options.TurnLimit, e.reportStuck)
	default:
		e.watch.Reset(e.options.TurnLimit)
	}
	e.watching = true
}

// reportStuck tells the log about each turn that does not yield, once.
func (e *Orchestrators) reportStuck() {
	e.mu.Lock()
	e.watching = false
	next := e.options.TurnLimit
	var stuck []*turn
	look := func(t *turn) {
		left := e.options.TurnLimit - time.Since(t.since)
		switch {
		case t.reported:
		case left <= 0:
			t.reported = true
			stuck = append(stuck, t)
		default:
			next = min(next, left)
		}
	}
	for _, t := range e.busy {
		look(t)
	}
	for t := range e.unloading {
		look(t)
	}
	if len(e.busy)+len(e.unloading) > 0 && !e.closed {
		e.watch.Reset(next)
		e.watching = true
	}
	e.mu.Unlock()
	if len(stuck) == 0 {
		return
	}
	profile := goroutines()
	for _, t := range stuck {
		e.options.Logger.Error("an orchestrator does not yield; it loops, or blocks on something that is not durable",
			"taskhub", string(t.key.Hub), "instance", string(t.key.Instance), "execution", string(t.key.Execution),
			"orchestration", t.name, "since", t.since, "unloading", t.unloading, "stack", stackOf(profile, t.label))
	}
}

// labelKey marks the goroutines of an execution in profiles.
const labelKey = "reprise-execution"

// labelled calls fn; the goroutines that it starts bear the label.
func labelled(label string, fn func()) {
	pprof.Do(context.Background(), pprof.Labels(labelKey, label), func(context.Context) { fn() })
}

// goroutines returns the stacks of all goroutines as text.
func goroutines() string {
	var b bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return ""
	}
	return b.String()
}

// stackOf returns the user's part of the stacks with the label.
func stackOf(profile, label string) string {
	want := fmt.Sprintf("# labels: {%q:%q}", labelKey, label)
	var out strings.Builder
	for block := range strings.SplitSeq(profile, "\n\n") {
		if !strings.Contains(block, want) {
			continue
		}
		for line := range strings.Lines(block) {
			if _, frame, ok := strings.Cut(line, "\t0x"); ok && strings.HasPrefix(line, "#") {
				// "#	0xaddress	function+0x1	file:line"
				if _, place, ok := strings.Cut(frame, "\t"); ok {
					out.WriteString(strings.TrimRight(place, "\n") + "\n")
				}
			}
		}
	}
	return out.String()
}
