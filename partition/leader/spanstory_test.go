package leader

import (
	"fmt"

	"github.com/reprise-run/reprise/history"
)

// traceOf is the trace that a command of a story carries.
func traceOf(opt func(string) string) history.Trace {
	return history.Trace{Parent: opt("trace"), State: opt("state")}
}

// span notes a span; trace IDs are left out.
func (s *story) span(p history.Span) {
	id := func(trace history.Trace) string { return trace.Parent[36:52] }
	text := fmt.Sprintf("span %s %s of %s %s: %s in %s, %s to %s, %s attempts=%d", p.Kind, p.Name, p.Instance, p.Execution,
		id(p.Trace), id(p.Parent), p.Began.Sub(s.begin), p.Ended.Sub(s.begin), p.Status, p.Attempts)
	if p.Link.Valid() {
		text += " link=" + id(p.Link)
	}
	if p.Trace.State != p.Parent.State {
		text += " state=" + p.Trace.State + " in " + p.Parent.State
	} else if p.Trace.State != "" {
		text += " state=" + p.Trace.State
	}
	s.note("%s", text)
}
