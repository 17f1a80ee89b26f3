package history

import (
	"fmt"
	"sort"
	"strings"
	"time"
	"unicode/utf8"
)

// describedBytes is how much of a payload a description shows.
const describedBytes = 80

// Describe returns one line about the event for a person, the same in tests,
// logs and the command line: the ID of a decision, the kind, and what tells it
// apart from others. It does not show the event's time.
func Describe(e Event) string {
	if e.Body == nil {
		return "(no event)"
	}
	text := describeBody(e.Body)
	if e.ID != NoID {
		return fmt.Sprintf("#%d %s", e.ID, text)
	}
	return text
}

func describeBody(body Body) string {
	l := line{}
	switch b := body.(type) {
	case OrchestratorStarted:
		l.word("OrchestratorStarted")
	case *ExecutionStarted:
		l.word("ExecutionStarted").quoted("", b.Name).quoted("version", b.Version).payload("input", b.Input)
		if b.Parent != nil {
			l.quoted("parent", string(b.Parent.Instance))
		}
		l.time("scheduled", b.ScheduledStart).time("deadline", b.Deadline).tags(b.Tags)
	case *ExecutionCompleted:
		l.word("ExecutionCompleted").word(b.Status.String()).payload("result", b.Result).failure(b.Failure).quoted("version", b.NextVersion)
	case *ExecutionTerminated:
		l.word("ExecutionTerminated").payload("reason", b.Reason)
	case *ExecutionCancelRequested:
		l.word("ExecutionCancelRequested").quoted("reason", b.Reason)
	case *TaskScheduled:
		l.word("TaskScheduled").quoted("", b.Name).quoted("version", b.Version).payload("input", b.Input)
		if b.Retry != nil {
			l.word(fmt.Sprintf("attempts=%d", b.Retry.MaxAttempts))
		}
		if b.Timeout != 0 {
			l.word("timeout=" + b.Timeout.String())
		}
		l.options(b.Options)
		l.tags(b.Tags)
	case *TaskCompleted:
		l.word("TaskCompleted").id(b.TaskID).payload("result", b.Result)
	case *TaskFailed:
		l.word("TaskFailed").id(b.TaskID).failure(b.Failure)
	case *LocalTaskRun:
		l.word("LocalTaskRun").quoted("", b.Name)
		if b.Attempt > 1 {
			l.word(fmt.Sprintf("attempt=%d", b.Attempt))
		}
		l.payload("result", b.Result).failure(b.Failure)
	case *TaskCanceled:
		l.word("TaskCanceled").id(b.TaskID).quoted("reason", b.Reason)
	case *SubOrchestrationInstanceCreated:
		l.word("SubOrchestrationInstanceCreated").quoted("", b.Name).quoted("version", b.Version).quoted("instance", string(b.Instance)).payload("input", b.Input)
		if b.Detached {
			l.word("detached")
		}
		if b.Timeout != 0 {
			l.word("timeout=" + b.Timeout.String())
		}
		l.tags(b.Tags)
	case *SubOrchestrationInstanceCompleted:
		l.word("SubOrchestrationInstanceCompleted").id(b.TaskID).payload("result", b.Result)
	case *SubOrchestrationInstanceFailed:
		l.word("SubOrchestrationInstanceFailed").id(b.TaskID).failure(b.Failure)
	case *SubOrchestrationInstanceCanceled:
		l.word("SubOrchestrationInstanceCanceled").id(b.TaskID)
		if b.Request {
			l.word("request")
		}
		l.quoted("reason", b.Reason)
	case *TimerCreated:
		l.word("TimerCreated").time("fires", b.FireAt)
	case *TimerFired:
		l.word("TimerFired").id(b.TimerID)
	case *TimerCanceled:
		l.word("TimerCanceled").id(b.TimerID)
	case *EventSent:
		l.word("EventSent").quoted("", b.Name).quoted("instance", string(b.Instance)).payload("input", b.Input)
	case *EventRaised:
		l.word("EventRaised").quoted("", b.Name).payload("input", b.Input)
	case *PatchApplied:
		l.word("PatchApplied").quoted("", b.Patch)
	case *UpdateRequested:
		l.word("UpdateRequested").quoted("", b.Name).quoted("request", b.Request).payload("input", b.Input)
	case *UpdateCompleted:
		l.word("UpdateCompleted").quoted("", b.Name).quoted("request", b.Request).payload("result", b.Result).failure(b.Failure)
	case *EntityOperationSignaled:
		l.word("EntityOperationSignaled").quoted("", b.Operation).quoted("entity", string(b.Target)).payload("input", b.Input).time("scheduled", b.ScheduledTime)
	case *EntityOperationCalled:
		l.word("EntityOperationCalled").quoted("", b.Operation).quoted("entity", string(b.Target)).payload("input", b.Input)
		if b.Section != NoID {
			l.word(fmt.Sprintf("section=#%d", b.Section))
		}
		l.parent("caller", b.Caller)
	case *EntityOperationCompleted:
		l.word("EntityOperationCompleted").id(b.TaskID).payload("result", b.Result)
	case *EntityOperationFailed:
		l.word("EntityOperationFailed").id(b.TaskID).failure(b.Failure)
	case *EntityOperationCanceled:
		l.word("EntityOperationCanceled").id(b.TaskID)
	case *EntityLockRequested:
		l.word("EntityLockRequested")
		for _, id := range b.LockSet {
			l.quoted("", string(id))
		}
		l.parent("holder", b.Holder)
	case *EntityLockGranted:
		l.word("EntityLockGranted").id(b.TaskID)
	case *EntityUnlockSent:
		l.word("EntityUnlockSent").id(b.TaskID).parent("holder", b.Holder)
	default:
		l.word(fmt.Sprintf("event of kind %d", body.Kind()))
	}
	return l.text.String()
}

// line gathers the words of a description.
type line struct{ text strings.Builder }

func (l *line) word(w string) *line {
	if l.text.Len() > 0 {
		l.text.WriteByte(' ')
	}
	l.text.WriteString(w)
	return l
}

func (l *line) id(of int32) *line { return l.word(fmt.Sprintf("of=#%d", of)) }

func (l *line) parent(label string, p *ParentInstance) *line {
	if p == nil {
		return l
	}
	return l.quoted(label, string(p.Instance)).word(fmt.Sprintf("#%d", p.TaskID))
}

func (l *line) quoted(label, value string) *line {
	switch {
	case value == "":
		return l
	case label == "":
		return l.word(fmt.Sprintf("%q", value))
	default:
		return l.word(fmt.Sprintf("%s=%q", label, value))
	}
}

func (l *line) time(label string, t time.Time) *line {
	if t.IsZero() {
		return l
	}
	return l.word(label + "=" + t.UTC().Format(time.RFC3339Nano))
}

func (l *line) payload(label string, p Payload) *line {
	if p == nil {
		return l
	}
	return l.word(label + "=" + describePayload(p))
}

func (l *line) failure(f *Failure) *line {
	if f == nil {
		return l
	}
	l.quoted("type", f.Type).quoted("code", f.Code).word(fmt.Sprintf("message=%q", f.Message))
	if f.NonRetriable {
		l.word("non-retriable")
	}
	if f.MayHaveActed {
		l.word("may-have-acted")
	}
	return l
}

func (l *line) tags(tags map[string]string) *line {
	keys := make([]string, 0, len(tags))
	for k := range tags {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		l.word(fmt.Sprintf("%s:%q", k, tags[k]))
	}
	return l
}

// describePayload shows text as it is, shortened, and anything else by its size.
func describePayload(p Payload) string {
	shown := p
	if len(shown) > describedBytes {
		shown = shown[:describedBytes]
		for len(shown) > 0 && !utf8.Valid(shown) && len(shown) > describedBytes-utf8.UTFMax {
			shown = shown[:len(shown)-1]
		}
	}
	printable := utf8.Valid(shown) && strings.IndexFunc(string(shown), func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
	switch {
	case !printable:
		return fmt.Sprintf("(%d bytes)", len(p))
	case len(shown) < len(p):
		return fmt.Sprintf("%s… (%d bytes)", shown, len(p))
	default:
		return string(shown)
	}
}
