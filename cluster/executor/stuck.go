package executor

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/reprise-run/reprise/history"
)

// Stuck is user code that has not given the word back for longer than
// [Options.TurnLimit].
type Stuck struct {
	Hub       history.TaskHub
	Instance  history.InstanceID
	Execution history.ExecutionID
	Name      string // of the orchestration, or the entity
	Since     time.Time
	// Unloading is set where deferred functions of an unloaded execution hang.
	Unloading bool
	// Stack is where the code is: functions and lines, innermost first.
	Stack string
}

// watch knows the user code that has the word, and tells people about code that keeps
// it. It is safe for concurrent use.
type watch struct {
	limit time.Duration
	log   *slog.Logger

	mu     sync.Mutex // guards the fields below, and turn.reported
	turns  map[*turn]struct{}
	timer  *time.Timer
	armed  bool // timer will fire
	closed bool
}

func newWatch(o Options) *watch {
	return &watch{limit: o.TurnLimit, log: o.Logger, turns: make(map[*turn]struct{})}
}

// begin is called when code is given the word.
func (w *watch) begin(t *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turns[t] = struct{}{}
	switch {
	case w.armed || w.closed:
		return
	case w.timer == nil:
		w.timer = time.AfterFunc(w.limit, w.report)
	default:
		w.timer.Reset(w.limit)
	}
	w.armed = true
}

// end is called when it has given the word back.
func (w *watch) end(t *turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.turns, t)
}

// close ends the reports.
func (w *watch) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// late returns the code that does not yield.
func (w *watch) late() (turns []*turn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for t := range w.turns {
		if time.Since(t.since) >= w.limit {
			turns = append(turns, t)
		}
	}
	return turns
}

// stuck lists code that does not yield, the longest first.
func (w *watch) stuck() []Stuck {
	turns := w.late()
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

// report tells the log about each turn that does not yield, once.
func (w *watch) report() {
	w.mu.Lock()
	w.armed = false
	next := w.limit
	var stuck []*turn
	for t := range w.turns {
		left := w.limit - time.Since(t.since)
		switch {
		case t.reported:
		case left <= 0:
			t.reported = true
			stuck = append(stuck, t)
		default:
			next = min(next, left)
		}
	}
	if len(w.turns) > 0 && !w.closed {
		w.timer.Reset(next)
		w.armed = true
	}
	w.mu.Unlock()
	if len(stuck) == 0 {
		return
	}
	profile := goroutines()
	for _, t := range stuck {
		text := "an orchestrator does not yield; it loops, or blocks on something that is not durable"
		if t.key.Instance.IsEntity() {
			text = "an operation of an entity does not end; it loops, or waits for something"
		}
		w.log.Error(text,
			"taskhub", string(t.key.Hub), "instance", string(t.key.Instance), "execution", string(t.key.Execution),
			"name", t.name, "since", t.since, "unloading", t.unloading, "stack", stackOf(profile, t.label))
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

// inCoroutine is a frame of the goroutines on which orchestrators run.
const inCoroutine = "reprise/engine.(*Execution).coroutine"

// stackOf returns the stacks with the label, that of the user's code first and what waits
// for it last.
func stackOf(profile, label string) string {
	want := fmt.Sprintf("# labels: {%q:%q}", labelKey, label)
	var users, others strings.Builder
	for block := range strings.SplitSeq(profile, "\n\n") {
		if !strings.Contains(block, want) {
			continue
		}
		out := &others
		if strings.Contains(block, inCoroutine) {
			out = &users
		}
		for line := range strings.Lines(block) {
			if _, frame, ok := strings.Cut(line, "\t0x"); ok && strings.HasPrefix(line, "#") {
				// "#	0xaddress	function+0x1	file:line"
				if _, place, ok := strings.Cut(frame, "\t"); ok {
					out.WriteString(strings.Join(strings.Fields(place), " ") + "\n")
				}
			}
		}
	}
	return users.String() + others.String()
}
