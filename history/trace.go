package history

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Trace is a place in a trace, as the two headers of W3C Trace Context tell it. Who was
// started, or asked, with none is not traced, and neither is what he starts. The span IDs
// of what a history records follow from the history, so they are the same on every replay
// and on every node. An entity has no history: the span ID of an operation follows from
// the run, and only the run that is recorded is told.
//
// Messages between nodes embed it, so that its fields stand among theirs.
type Trace struct {
	// Parent is the header traceparent: version, trace ID, span ID and flags, as text
	// ("00-<32 hex digits>-<16>-<2>"). Empty: there is no trace.
	Parent string `msgpack:"TraceParent"`
	// State is the header tracestate, what tracing systems say to each other: a list of
	// "key=value" with commas between. It is handed on as it came.
	State string `msgpack:"TraceState,omitempty"`
}

// Bounds of a trace state.
const (
	// MaxTraceStateBytes is the longest that is handed on: what the W3C asks for at least.
	MaxTraceStateBytes = 512

	maxStateMembers   = 32
	longMember        = 128 // bytes; what is longer goes first
	maxStateKeyBytes  = 256
	maxStateTextBytes = 256
)

// Clean returns what of a trace that came from outside is handed on. It is no error if
// that is nothing, because a trace must never be in the way of what it is a trace of: a
// parent that is none leaves no trace, and a state that is none leaves the parent. Of a
// state that is too long, whole members go, as the W3C says: the last of those over 128
// bytes first, then the last.
func (t Trace) Clean() Trace {
	if !t.Valid() {
		return Trace{}
	}
	return Trace{Parent: "00" + t.Parent[2:flagsEnd], State: cleanState(t.State)}
}

// Execution returns the trace that stands for an execution which was started with t;
// none where that is none.
func (t Trace) Execution(e ExecutionID) Trace { return t.child(string(e)) }

// Task returns the trace that stands for an activity, which an execution that was started
// with t decided: all its attempts are parts of it.
func (t Trace) Task(e ExecutionID, task int32) Trace {
	if t.Parent == "" {
		return Trace{} // nothing is computed where nothing is traced
	}
	return t.child(fmt.Sprintf("%s:%d", e, task))
}

// Operation returns the trace that stands for an operation of an entity, which was asked
// for with t: the nth of a run. Runs have names of their own.
func (t Trace) Operation(run string, n int) Trace {
	return t.child(fmt.Sprintf("operation:%s:%d", run, n))
}

// Event returns the trace that stands for an external event which came with t, and which an
// execution has taken: the nth that arrived there.
func (t Trace) Event(e ExecutionID, n int) Trace {
	return t.child(fmt.Sprintf("event:%s:%d", e, n))
}

func (t Trace) child(name string) Trace {
	if !t.Valid() {
		return Trace{}
	}
	sum := sha256.Sum256([]byte("span:" + name))
	sum[0] |= 1 // a span ID is never zero
	return Trace{"00" + t.Parent[2:traceIDEnd+1] + hex.EncodeToString(sum[:8]) + t.Parent[spanIDEnd:flagsEnd], t.State}
}

// Bytes returns how many bytes the trace has.
func (t Trace) Bytes() int { return len(t.Parent) + len(t.State) }

// Where the parts of a trace parent end.
const (
	traceIDEnd = 2 + 1 + 32
	spanIDEnd  = traceIDEnd + 1 + 16
	flagsEnd   = spanIDEnd + 1 + 2
)

// Valid reports whether the parent is one. Those of newer versions may be longer; what
// they add is not handed on.
func (t Trace) Valid() bool {
	s := t.Parent
	if len(s) < flagsEnd || len(s) > flagsEnd && (s[flagsEnd] != '-' || strings.HasPrefix(s, "00")) || strings.HasPrefix(s, "ff") {
		return false
	}
	for i, r := range []byte(s[:flagsEnd]) {
		dash := i == 2 || i == traceIDEnd || i == spanIDEnd
		if dash != (r == '-') || !dash && !strings.ContainsRune("0123456789abcdef", rune(r)) {
			return false
		}
	}
	return strings.Trim(s[3:traceIDEnd], "0") != "" && strings.Trim(s[traceIDEnd+1:spanIDEnd], "0") != ""
}

// cleanState returns a trace state without spaces and empty members, and short enough;
// empty where it is none.
func cleanState(s string) string {
	var members []string
	size := -1 // a comma less than members
	keys := map[string]bool{}
	for m := range strings.SplitSeq(s, ",") {
		if m = strings.Trim(m, " \t"); m == "" {
			continue
		}
		key, text, _ := strings.Cut(m, "=")
		if len(members) == maxStateMembers || keys[key] || !validStateKey(key) || !validStateText(text) {
			return ""
		}
		keys[key] = true
		members = append(members, m)
		size += len(m) + 1
	}
	for size > MaxTraceStateBytes {
		last := len(members) - 1
		for i, m := range slices.Backward(members) {
			if len(m) > longMember {
				last = i
				break
			}
		}
		size -= len(members[last]) + 1
		members = slices.Delete(members, last, last+1)
	}
	return strings.Join(members, ",")
}

func validStateKey(s string) bool {
	for i, r := range []byte(s) {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') && (i == 0 || !strings.ContainsRune("_-*/@", rune(r))) {
			return false
		}
	}
	return s != "" && len(s) <= maxStateKeyBytes
}

func validStateText(s string) bool {
	for _, r := range []byte(s) {
		if r < ' ' || r > '~' || r == '=' {
			return false
		}
	}
	return s != "" && len(s) <= maxStateTextBytes
}

// TraceOf returns where a body has its trace; nil: it has none.
func TraceOf(body Body) *Trace {
	switch b := body.(type) {
	case *ExecutionStarted:
		return &b.Trace
	case *TaskScheduled:
		return &b.Trace
	case *SubOrchestrationInstanceCreated:
		return &b.Trace
	case *EventSent:
		return &b.Trace
	case *EventRaised:
		return &b.Trace
	case *EntityOperationSignaled:
		return &b.Trace
	case *EntityOperationCalled:
		return &b.Trace
	}
	return nil
}
