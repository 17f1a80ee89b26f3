package history

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// Trace parents are those of W3C Trace Context, as text: version, trace ID, span ID
// and flags ("00-<32 hex digits>-<16>-<2>"). An execution that was started without
// one is not traced, and neither is what it starts. The span IDs of what a history
// records follow from the history, so they are the same on every replay and on every
// node. An entity has no history: the span ID of an operation follows from the run, and
// only the run that is recorded is told.

// ExecutionTrace returns the trace parent that stands for an execution which was
// started with the given one; empty where that is none.
func ExecutionTrace(parent string, e ExecutionID) string {
	return childTrace(parent, string(e))
}

// TaskTrace returns the trace parent that stands for an activity, which an execution
// that was started with the given one decided: all its attempts are parts of it.
func TaskTrace(parent string, e ExecutionID, task int32) string {
	if parent == "" {
		return "" // nothing is computed where nothing is traced
	}
	return childTrace(parent, fmt.Sprintf("%s:%d", e, task))
}

// OperationTrace returns the trace parent that stands for an operation of an entity, which
// was asked for with the given one: the nth of a run. Runs have names of their own.
func OperationTrace(parent, run string, n int) string {
	return childTrace(parent, fmt.Sprintf("operation:%s:%d", run, n))
}

func childTrace(parent, name string) string {
	if !ValidTrace(parent) {
		return ""
	}
	sum := sha256.Sum256([]byte("span:" + name))
	sum[0] |= 1 // a span ID is never zero
	return "00" + parent[2:traceIDEnd+1] + hex.EncodeToString(sum[:8]) + parent[spanIDEnd:flagsEnd]
}

// Where the parts of a trace parent end.
const (
	traceIDEnd = 2 + 1 + 32
	spanIDEnd  = traceIDEnd + 1 + 16
	flagsEnd   = spanIDEnd + 1 + 2
)

// ValidTrace reports whether a text is a trace parent. Those of newer versions may be
// longer; what they add is not handed on.
func ValidTrace(s string) bool {
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
