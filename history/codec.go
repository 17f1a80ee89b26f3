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
		w.Array(9)
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		w.String(string(b.ExecutionID))
		WriteParent(w, b.Parent)
		w.Time(b.ScheduledStart)
		w.String(b.TraceParent)
		writeTags(w, b.Tags)
		w.Time(b.Deadline)
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
		if b.Options == nil {
			w.Array(7)
		} else {
			w.Array(8)
		}
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		writeRetry(w, b.Retry)
		w.Int(int64(b.Timeout))
		w.String(b.TraceParent)
		writeTags(w, b.Tags)
		if b.Options != nil {
			b.Options.Write(w)
		}
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
		w.Array(8)
		w.String(string(b.Instance))
		w.String(b.Name)
		w.String(b.Version)
		w.Binary(b.Input)
		w.Bool(b.Detached)
		w.String(b.TraceParent)
		writeTags(w, b.Tags)
		w.Int(int64(b.Timeout))
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
		w.Array(3)
		w.String(string(b.Instance))
		w.String(b.Name)
		w.Binary(b.Input)
	case *EventRaised:
		w.Array(2)
		w.String(b.Name)
		w.Binary(b.Input)
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
	w.Array(8)
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
}

// DecodeEvents reads what [EncodeEvents] wrote. It returns an error for anything
// else: an event that this version does not know is never skipped.
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
		fields := expectWithin(r, 8, 9)
		b := &ExecutionStarted{
			Name: r.String(), Version: r.String(), Input: r.Binary(), ExecutionID: ExecutionID(r.String()),
			Parent: ReadParent(r), ScheduledStart: r.Time(), TraceParent: r.String(), Tags: readTags(r),
		}
		if fields > 8 {
			b.Deadline = r.Time()
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
		fields := r.Array()
		if r.Err() == nil && fields != 7 && fields != 8 {
			r.Fail(fmt.Sprintf("%d fields where 7 or 8 belong", fields))
		}
		b := &TaskScheduled{
			Name: r.String(), Version: r.String(), Input: r.Binary(), Retry: readRetry(r),
			Timeout: time.Duration(r.Int()), TraceParent: r.String(), Tags: readTags(r),
		}
		if fields == 8 {
			b.Options = ReadTaskOptions(r)
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
		fields := expectWithin(r, 7, 8)
		b := &SubOrchestrationInstanceCreated{
			Instance: InstanceID(r.String()), Name: r.String(), Version: r.String(), Input: r.Binary(),
			Detached: r.Bool(), TraceParent: r.String(), Tags: readTags(r),
		}
		if fields > 7 {
			b.Timeout = time.Duration(r.Int())
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
		expect(r, 3)
		e.Body = &EventSent{Instance: InstanceID(r.String()), Name: r.String(), Input: r.Binary()}
	case KindEventRaised:
		expect(r, 2)
		e.Body = &EventRaised{Name: r.String(), Input: r.Binary()}
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
		r.Fail(fmt.Sprintf("%d fields where %d belong", got, n))
	}
}

// expectWithin reads the head of an array that has so many fields: the least of an
// older writer, the most of this one. Of what lies between nothing was ever written.
func expectWithin(r *pack.Reader, least, most int) int {
	got := r.Array()
	if r.Err() == nil && got != least && got != most {
		r.Fail(fmt.Sprintf("%d fields where %d or %d belong", got, least, most))
	}
	return got
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
	expect(r, 8)
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
	return f
}
