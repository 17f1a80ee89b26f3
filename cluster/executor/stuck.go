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
	e.mu.Lock()
	var turns []*turn
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
	e.mu.Unlock()
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

// report tells the log about a turn that does not yield, once.
func (e *Orchestrators) report(t *turn) {
	e.mu.Lock()
	told := t.reported
	t.reported = true
	e.mu.Unlock()
	if !told {
		e.options.Logger.Error("an orchestrator does not yield; it loops, or blocks on something that is not durable",
			"taskhub", string(t.key.Hub), "instance", string(t.key.Instance), "execution", string(t.key.Execution),
			"orchestration", t.name, "since", t.since, "stack", stackOf(goroutines(), t.label))
	}
}

// labelKey marks the goroutines of an execution in profiles.
const labelKey = "reprise-execution"

// labelGoroutine marks the calling goroutine, and those that it will start.
func labelGoroutine(label string) {
	pprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), pprof.Labels(labelKey, label)))
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
