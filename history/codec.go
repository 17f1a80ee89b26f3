package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/reprise-run/reprise/internal/pack"
)

// maxFailureDepth bounds how deep failures nest in stored form.
const maxFailureDepth = 64

// EncodeEvents returns the stored form of events: a record (see package pack)
// with one field, the array of the events. The same events give the same bytes.
func EncodeEvents(events []Event) []byte {
	w := pack.NewWriter(64+64*len(events)+PayloadBytes(events), 1)
	w.Array(len(events))
	for i := range events {
		writeEvent(w, &events[i])
	}
	return w.Bytes()
}

func writeEvent(w *pack.Writer, e *Event) {
	w.Array(5)
	w.Int(int64(e.Body.Kind()))
	w.Int(int64(e.ID))
	w.Time(e.Time)
	w.Binary(e.Extra)
	switch b := e.Body.(type) {
	case OrchestratorStarted:
		w.Array(0)
	case *ExecutionStarted:
		w.Array(9 + traceStates(b.Trace))
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		w.String(string(b.ExecutionID))
		WriteParent(w, b.Parent)
		w.Time(b.ScheduledStart)
		w.String(b.Trace.Parent)
		writeTags(w, b.Tags)
		w.Time(b.Deadline)
		writeTraceState(w, b.Trace)
	case *ExecutionCompleted:
		if b.NextVersion == "" {
			w.Array(3)
		} else {
			w.Array(4)
		}
		w.Int(int64(b.Status))
		w.Binary(b.Result)
		writeFailure(w, b.Failure, 0)
		if b.NextVersion != "" {
			w.String(b.NextVersion)
		}
	case *ExecutionTerminated:
		w.Array(2)
		w.Binary(b.Reason)
		w.Bool(b.Recurse)
	case *ExecutionCancelRequested:
		w.Array(1)
		w.String(b.Reason)
	case *TaskScheduled:
		switch {
		case b.Trace.State != "":
			w.Array(9)
		case b.Options != nil:
			w.Array(8)
		default:
			w.Array(7)
		}
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		writeRetry(w, b.Retry)
		w.Int(int64(b.Timeout))
		w.String(b.Trace.Parent)
		writeTags(w, b.Tags)
		switch {
		case b.Options != nil:
			b.Options.Write(w)
		case b.Trace.State != "":
			w.Nil()
		}
		writeTraceState(w, b.Trace)
	case *TaskCompleted:
		w.Array(2)
		w.Int(int64(b.TaskID))
		w.Binary(b.Result)
	case *TaskFailed:
		w.Array(2)
		w.Int(int64(b.TaskID))
		writeFailure(w, b.Failure, 0)
	case *TaskCanceled:
		w.Array(2)
		w.Int(int64(b.TaskID))
		w.String(b.Reason)
	case *LocalTaskRun:
		w.Array(4)
		w.String(b.Name)
		w.Int(int64(b.Attempt))
		w.Binary(b.Result)
		writeFailure(w, b.Failure, 0)
	case *SubOrchestrationInstanceCreated:
		w.Array(8 + traceStates(b.Trace))
		w.String(string(b.Instance))
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		w.Bool(b.Detached)
		w.String(b.Trace.Parent)
		writeTags(w, b.Tags)
		w.Int(int64(b.Timeout))
		writeTraceState(w, b.Trace)
	case *SubOrchestrationInstanceCompleted:
		w.Array(2)
		w.Int(int64(b.TaskID))
		w.Binary(b.Result)
	case *SubOrchestrationInstanceFailed:
		w.Array(2)
		w.Int(int64(b.TaskID))
		writeFailure(w, b.Failure, 0)
	case *SubOrchestrationInstanceCanceled:
		w.Array(3)
		w.Int(int64(b.TaskID))
		w.Bool(b.Request)
		w.String(b.Reason)
	case *TimerCreated:
		w.Array(1)
		w.Time(b.FireAt)
	case *TimerFired:
		w.Array(2)
		w.Int(int64(b.TimerID))
		w.Time(b.FireAt)
	case *TimerCanceled:
		w.Array(1)
		w.Int(int64(b.TimerID))
	case *EventSent:
		w.Array(3 + traces(b.Trace))
		w.String(string(b.Instance))
		w.String(b.Name)
		w.Binary(b.Input)
		writeTrace(w, b.Trace)
	case *EventRaised:
		w.Array(2 + traces(b.Trace))
		w.String(b.Name)
		w.Binary(b.Input)
		writeTrace(w, b.Trace)
	default:
		if !writeEntityEvent(w, b) && !writeAskedEvent(w, b) {
			panic(fmt.Sprintf("event body %T has no stored form", b))
		}
	}
}

func writeTags(w *pack.Writer, tags map[string]string) {
	w.Array(2 * len(tags))
	if len(tags) == 0 {
		return // most events
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		w.String(k)
		w.String(tags[k])
	}
}

// A trace state came later than the parent, so it stands at the end of a body, and only
// where there is one. Bodies that had neither have both or none at the end.

func writeTraceState(w *pack.Writer, t Trace) {
	if t.State != "" {
		w.String(t.State)
	}
}

// traceStates returns how many fields writeTraceState writes.
func traceStates(t Trace) int {
	if t.State != "" {
		return 1
	}
	return 0
}

func writeTrace(w *pack.Writer, t Trace) {
	if t != (Trace{}) {
		w.String(t.Parent)
		w.String(t.State)
	}
}

// traces returns how many fields writeTrace writes.
func traces(t Trace) int {
	if t != (Trace{}) {
		return 2
	}
	return 0
}

func readTrace(r *pack.Reader, there bool) Trace {
	if !there {
		return Trace{}
	}
	return Trace{r.String(), r.String()}
}

func writeRetry(w *pack.Writer, p *RetryPolicy) {
	if p == nil {
		w.Nil()
		return
	}
	w.Array(6)
	w.Int(int64(p.MaxAttempts))
	w.Int(int64(p.First))
	w.Float(p.Backoff)
	w.Int(int64(p.MaxInterval))
	w.Int(int64(p.Total))
	w.Array(len(p.NonRetryable))
	for _, code := range p.NonRetryable {
		w.String(code)
	}
}

// writeFailure leaves out what nests deeper than maxFailureDepth.
func writeFailure(w *pack.Writer, f *Failure, depth int) {
	if f == nil {
		w.Nil()
		return
	}
	if f.MayHaveActed {
		w.Array(9)
	} else {
		w.Array(8)
	}
	w.String(f.Type)
	w.String(f.Code)
	w.String(f.Message)
	w.String(f.Stack)
	w.Bool(f.NonRetriable)
	w.Binary(f.Data)
	inner := f.Inner
	if depth == maxFailureDepth {
		inner = nil
	}
	w.Array(len(inner))
	for _, f := range inner {
		writeFailure(w, f, depth+1)
	}
	w.Binary(f.Extra)
	if f.MayHaveActed {
		w.Bool(true)
	}
}

// DecodeEvents reads what [EncodeEvents] wrote. It returns an error for anything
// else: an event, or a field of one, that this version does not know is never skipped.
//
// Here events differ from the other records, whose unknown fields package pack lets a
// reader skip. Code that skipped a deadline, or that a task is attempted at most once,
// would replay the history to other decisions than those that are recorded. And mail is
// read and written anew on its way into a history, so what was skipped would be gone.
// An older program leaves what a newer one has recorded to others.
func DecodeEvents(data []byte) ([]Event, error) {
	r := pack.NewReader(data)
	if !r.Next() {
		return nil, fmt.Errorf("decode events: %w", cmp.Or(r.Err(), pack.ErrMalformed))
	}
	n := r.Array()
	events := make([]Event, 0, min(n, 1024))
	for range n {
		e, err := readEvent(r)
		if err != nil {
			return nil, fmt.Errorf("decode event %d of %d: %w", len(events), n, err)
		}
		events = append(events, e)
	}
	if err := r.Close(); err != nil {
		return nil, fmt.Errorf("decode events: %w", err)
	}
	return events, nil
}

func readEvent(r *pack.Reader) (Event, error) {
	expect(r, 5)
	kind := Kind(r.Int())
	e := Event{ID: int32(r.Int()), Time: r.Time(), Extra: r.Binary()}
	if r.Err() != nil {
		return e, r.Err()
	}
	switch kind {
	case KindOrchestratorStarted:
		expect(r, 0)
		e.Body = OrchestratorStarted{}
	case KindExecutionStarted:
		fields := expectWithin(r, 8, 9, 10)
		b := &ExecutionStarted{
			Name: r.String(), Version: r.String(), Input: r.Binary(), ExecutionID: ExecutionID(r.String()),
			Parent: ReadParent(r), ScheduledStart: r.Time(), Trace: Trace{Parent: r.String()}, Tags: readTags(r),
		}
		if fields > 8 {
			b.Deadline = r.Time()
		}
		if fields > 9 {
			b.Trace.State = r.String()
		}
		e.Body = b
	case KindExecutionCompleted:
		fields := expectWithin(r, 3, 4)
		b := &ExecutionCompleted{Status: Status(r.Int()), Result: r.Binary(), Failure: readFailure(r, 0)}
		if fields > 3 {
			b.NextVersion = r.String()
		}
		e.Body = b
	case KindExecutionTerminated:
		expect(r, 2)
		e.Body = &ExecutionTerminated{Reason: r.Binary(), Recurse: r.Bool()}
	case KindExecutionCancelRequested:
		expect(r, 1)
		e.Body = &ExecutionCancelRequested{Reason: r.String()}
	case KindTaskScheduled:
		fields := expectWithin(r, 7, 8, 9)
		b := &TaskScheduled{
			Name: r.String(), Version: r.String(), Input: r.Binary(), Retry: readRetry(r),
			Timeout: time.Duration(r.Int()), Trace: Trace{Parent: r.String()}, Tags: readTags(r),
		}
		if fields == 8 || fields == 9 && !r.IsNil() {
			b.Options = ReadTaskOptions(r)
		}
		if fields == 9 {
			b.Trace.State = r.String()
		}
		e.Body = b
	case KindTaskCompleted:
		expect(r, 2)
		e.Body = &TaskCompleted{TaskID: int32(r.Int()), Result: r.Binary()}
	case KindTaskFailed:
		expect(r, 2)
		e.Body = &TaskFailed{TaskID: int32(r.Int()), Failure: readFailure(r, 0)}
	case KindLocalTaskRun:
		expect(r, 4)
		e.Body = &LocalTaskRun{Name: r.String(), Attempt: int32(r.Int()), Result: r.Binary(), Failure: readFailure(r, 0)}
	case KindTaskCanceled:
		fields := expectWithin(r, 1, 2)
		b := &TaskCanceled{TaskID: int32(r.Int())}
		if fields > 1 {
			b.Reason = r.String()
		}
		e.Body = b
	case KindSubOrchestrationInstanceCreated:
		fields := expectWithin(r, 7, 8, 9)
		b := &SubOrchestrationInstanceCreated{
			Instance: InstanceID(r.String()), Name: r.String(), Version: r.String(), Input: r.Binary(),
			Detached: r.Bool(), Trace: Trace{Parent: r.String()}, Tags: readTags(r),
		}
		if fields > 7 {
			b.Timeout = time.Duration(r.Int())
		}
		if fields > 8 {
			b.Trace.State = r.String()
		}
		e.Body = b
	case KindSubOrchestrationInstanceCompleted:
		expect(r, 2)
		e.Body = &SubOrchestrationInstanceCompleted{TaskID: int32(r.Int()), Result: r.Binary()}
	case KindSubOrchestrationInstanceFailed:
		expect(r, 2)
		e.Body = &SubOrchestrationInstanceFailed{TaskID: int32(r.Int()), Failure: readFailure(r, 0)}
	case KindSubOrchestrationInstanceCanceled:
		fields := expectWithin(r, 1, 3)
		b := &SubOrchestrationInstanceCanceled{TaskID: int32(r.Int())}
		if fields > 1 {
			b.Request, b.Reason = r.Bool(), r.String()
		}
		e.Body = b
	case KindTimerCreated:
		expect(r, 1)
		e.Body = &TimerCreated{FireAt: r.Time()}
	case KindTimerFired:
		expect(r, 2)
		e.Body = &TimerFired{TimerID: int32(r.Int()), FireAt: r.Time()}
	case KindTimerCanceled:
		expect(r, 1)
		e.Body = &TimerCanceled{TimerID: int32(r.Int())}
	case KindEventSent:
		fields := expectWithin(r, 3, 5)
		e.Body = &EventSent{Instance: InstanceID(r.String()), Name: r.String(), Input: r.Binary(), Trace: readTrace(r, fields > 3)}
	case KindEventRaised:
		fields := expectWithin(r, 2, 4)
		e.Body = &EventRaised{Name: r.String(), Input: r.Binary(), Trace: readTrace(r, fields > 2)}
	default:
		if e.Body = readEntityEvent(r, kind); e.Body == nil {
			e.Body = readAskedEvent(r, kind)
		}
		if e.Body == nil {
			return e, fmt.Errorf("%w: event kind %d is not known to this version", pack.ErrMalformed, kind)
		}
	}
	return e, r.Err()
}

// expect reads the head of an array that must have n fields.
func expect(r *pack.Reader, n int) {
	if got := r.Array(); r.Err() == nil && got != n {
		r.Fail(misfit(got, n))
	}
}

// expectWithin reads the head of an array that has one of the numbers of fields, which
// are all that were ever written, the largest last.
func expectWithin(r *pack.Reader, written ...int) int {
	got := r.Array()
	if r.Err() == nil && !slices.Contains(written, got) {
		r.Fail(misfit(got, written[len(written)-1]))
	}
	return got
}

// misfit says what is wrong with a number of fields, of which this version knows some.
func misfit(got, known int) string {
	if got > known {
		return fmt.Sprintf("%d fields where this version knows %d: a newer one has written it", got, known)
	}
	return fmt.Sprintf("%d fields where %d belong", got, known)
}

func readTags(r *pack.Reader) map[string]string {
	n := r.Array()
	if n == 0 {
		return nil
	}
	tags := make(map[string]string)
	for range n / 2 {
		k := r.String()
		tags[k] = r.String()
	}
	return tags
}

func readRetry(r *pack.Reader) *RetryPolicy {
	if r.IsNil() {
		return nil
	}
	expect(r, 6)
	p := &RetryPolicy{
		MaxAttempts: int(r.Int()), First: time.Duration(r.Int()), Backoff: r.Float(),
		MaxInterval: time.Duration(r.Int()), Total: time.Duration(r.Int()),
	}
	for range r.Array() {
		p.NonRetryable = append(p.NonRetryable, r.String())
	}
	return p
}

func readFailure(r *pack.Reader, depth int) *Failure {
	if r.IsNil() {
		return nil
	}
	if depth > maxFailureDepth {
		r.Fail("failure nests too deep")
		return nil
	}
	fields := expectWithin(r, 8, 9)
	f := &Failure{
		Type: r.String(), Code: r.String(), Message: r.String(), Stack: r.String(),
		NonRetriable: r.Bool(), Data: r.Binary(),
	}
	for range r.Array() {
		f.Inner = append(f.Inner, readFailure(r, depth+1))
		if r.Err() != nil {
			return nil
		}
	}
	f.Extra = r.Binary()
	if fields > 8 {
		f.MayHaveActed = r.Bool()
	}
	return f
}
