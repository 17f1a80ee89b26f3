package history

import "unicode/utf8"

// Bounds of what is kept of a failure: what is deeper or wider is left out, and so is what
// its texts and its data have beyond these, all of it together.
const (
	MaxFailureDepth = 32
	MaxFailureInner = 32
	// MaxFailureTextBytes holds the texts of all levels, each of which mostly repeats those
	// below it. A recursion that wraps its errors records as much at each level, several times.
	MaxFailureTextBytes = 64 << 10
	// Its data have MaxPayloadBytes at most.
)

// failureNodeBytes is what a failure takes beside its texts and its data, about.
const failureNodeBytes = 64

// Bounded returns f, or what of it is within the bounds, outermost first: what user code
// says when it fails has none, and is kept, sent, and shown whole. A text that is too long
// ends with "…". It returns nil for nil.
func (f *Failure) Bounded() *Failure {
	if f == nil {
		return nil
	}
	room := failureRoom{text: MaxFailureTextBytes, data: MaxPayloadBytes}
	return room.take(f, 0)
}

// Bytes returns how much a failure takes, about; 0 for nil.
func (f *Failure) Bytes() int {
	if f == nil {
		return 0
	}
	n := failureNodeBytes + len(f.Type) + len(f.Code) + len(f.Message) + len(f.Stack) + len(f.Data) + len(f.Extra)
	for _, inner := range f.Inner {
		n += inner.Bytes()
	}
	return n
}

// FailureIn returns the failure of an event; nil where it has none.
func FailureIn(body Body) *Failure {
	switch b := body.(type) {
	case *ExecutionCompleted:
		return b.Failure
	case *TaskFailed:
		return b.Failure
	case *SubOrchestrationInstanceFailed:
		return b.Failure
	case *EntityOperationFailed:
		return b.Failure
	case *LocalTaskRun:
		return b.Failure
	case *UpdateCompleted:
		return b.Failure
	}
	return nil
}

// failureRoom is what is left of the bounds.
type failureRoom struct{ text, data int }

// take returns a copy of a failure that has room.
func (r *failureRoom) take(f *Failure, depth int) *Failure {
	kept := *f
	r.text -= failureNodeBytes
	if kept.Code = r.brief(f.Code); kept.Code != f.Code {
		kept.Code = "" // a part of a code is another one
	}
	kept.Type, kept.Message, kept.Stack = r.brief(f.Type), r.brief(f.Message), r.brief(f.Stack)
	kept.Data, kept.Extra = r.whole(f.Data), r.whole(f.Extra)
	kept.Inner = nil
	for i, inner := range f.Inner {
		if depth == MaxFailureDepth || i == MaxFailureInner || r.text < failureNodeBytes {
			break
		}
		kept.Inner = append(kept.Inner, r.take(inner, depth+1))
	}
	return &kept
}

// brief returns a text that takes at most a quarter of the room, so that something is left
// for what is wrapped, which a long text mostly repeats.
func (r *failureRoom) brief(text string) string {
	const more = "…"
	if limit := max(r.text/4, len(more)); len(text) > limit {
		end := limit - len(more)
		for end > 0 && !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end] + more
	}
	r.text -= len(text)
	return text
}

// whole returns data for which there is room, or none.
func (r *failureRoom) whole(data []byte) []byte {
	if len(data) > r.data {
		return nil
	}
	r.data -= len(data)
	return data
}
