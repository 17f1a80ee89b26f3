package leader

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// Spans are effects: they leave once the entry that records the end is committed. If
// the leader dies between the two, a span is lost; none is ever told twice, because
// one end is recorded once.

// traced reports whether anybody wants the spans of an instance.
func (c *core) traced(r *partition.Record) bool {
	return c.cfg.Spans != nil && r.Trace.Valid()
}

// turnSpans returns the spans of what a turn ends that is to be recorded: the ways of the
// external events that it takes, and the execution. An event is a part of what sent it,
// also where the orchestration itself is not traced. Call it before the turn is recorded.
func (c *core) turnSpans(l *live, t partition.Turn) ([]history.Span, error) {
	if c.cfg.Spans == nil {
		return nil, nil
	}
	var spans []history.Span
	for _, e := range t.Episode.Taken {
		spans = append(spans, history.Span{
			Kind: history.EventSpan, Hub: l.ref.Hub, Instance: l.ref.ID, Execution: l.rec.Execution, Name: e.Name, Version: l.rec.Version,
			Trace: e.Trace.Event(l.rec.Execution, e.Number), Parent: e.Trace, Link: l.rec.Trace.Execution(l.rec.Execution),
			Began: e.Arrived, Ended: t.Began, Status: history.Completed, TaskID: history.NoID,
		})
	}
	end, err := c.executionSpan(l, t)
	if end != nil {
		spans = append(spans, *end)
	}
	return spans, err
}

// executionSpan returns the span of the present execution, where the turn ends it.
func (c *core) executionSpan(l *live, t partition.Turn) (*history.Span, error) {
	end := t.Episode.Completion()
	if end == nil || !c.traced(l.rec) {
		return nil, nil
	}
	s := &history.Span{
		Kind: history.OrchestrationSpan, Hub: l.ref.Hub, Instance: l.ref.ID, Execution: l.rec.Execution,
		Name: l.rec.Name, Version: l.rec.Version,
		Trace: l.rec.Trace.Execution(l.rec.Execution), Parent: l.rec.Trace,
		Began: l.rec.Created, Ended: t.Began, Status: end.Status, Failure: end.Failure, TaskID: history.NoID,
	}
	if l.rec.ScheduledStart.After(s.Began) {
		s.Began = l.rec.ScheduledStart
	}
	if l.rec.First == "" {
		return s, nil
	}
	// It is the continuation of another one, and its record tells when that began.
	if s.Began = t.Began; l.rec.Episodes == 0 {
		return s, nil
	}
	first, err := partition.ReadEpisode(&c.view, l.addr, l.rec.Execution, 0)
	if err == nil && len(first) > 0 {
		s.Began = first[0].Time
	}
	return s, err
}

// activitySpan tells of an activity that has ended.
func (c *core) activitySpan(a *attempt, ended time.Time, status history.Status, f *history.Failure) {
	r := a.live.rec
	if r == nil || !c.traced(r) {
		return
	}
	c.view.open.spans = append(c.view.open.spans, history.Span{
		Kind: history.ActivitySpan, Hub: a.id.Hub, Instance: a.id.Instance, Execution: a.id.Execution,
		Name: a.row.Name, Version: a.row.Version, TaskID: a.id.TaskID, Attempts: a.row.Attempt,
		Trace: r.Trace.Task(a.id.Execution, a.id.TaskID), Parent: r.Trace.Execution(a.id.Execution),
		Began: a.row.First, Ended: ended, Status: status, Failure: f,
	})
}

// outsideSpans tells of activities that are not wanted any more after the turn and are
// not in memory: those that are left to somebody outside, or in the state because there
// is no room for them. Call it before the turn is recorded.
func (c *core) outsideSpans(l *live, t partition.Turn) error {
	if !c.traced(l.rec) || l.rec.Activities == int64(len(l.attempts)) {
		return nil
	}
	tell := func(id int32, row *partition.Activity) bool {
		if l.attempts[id] == nil {
			c.activitySpan(c.attemptOf(l, id, row), t.Began, history.Canceled, nil)
		}
		return true
	}
	if t.Episode.Completion() != nil {
		return partition.ReadActivities(&c.view, l.addr, tell)
	}
	for _, e := range t.Episode.Decided {
		canceled, ok := e.Body.(*history.TaskCanceled)
		if !ok {
			continue
		}
		row, err := c.pendingRow(l, canceled.TaskID)
		if err != nil {
			return err
		}
		if row != nil {
			tell(canceled.TaskID, row)
		}
	}
	return nil
}

// activityEnded tells of an activity whose end is mail that is being written.
func (c *core) activityEnded(a *attempt, end history.Event) {
	if failed, ok := end.Body.(*history.TaskFailed); ok {
		c.activitySpan(a, end.Time, history.Failed, failed.Failure)
		return
	}
	c.activitySpan(a, end.Time, history.Completed, nil)
}

// traceOperations gives the operations of a run that is asked for spans of their own. The
// mail keeps the trace with which it came. A run that is asked for again has other spans
// than the one that was not recorded.
func (c *core) traceOperations(all []history.Event) {
	run := ""
	for i := range all {
		asked := history.TraceOf(all[i].Body)
		if asked == nil || !asked.Valid() {
			continue
		}
		if run == "" {
			c.tracedRuns++
			run = fmt.Sprintf("%d/%d/%d", c.cfg.Partition, c.epoch, c.tracedRuns)
		}
		switch b := all[i].Body.(type) {
		case *history.EntityOperationCalled:
			traced := *b
			traced.Trace, all[i].Body = asked.Operation(run, i), &traced
		case *history.EntityOperationSignaled:
			traced := *b
			traced.Trace, all[i].Body = asked.Operation(run, i), &traced
		}
	}
}

// operationSpans tells of the operations of a run that is being recorded; life is the
// entity's before that.
func (c *core) operationSpans(l *live, life history.ExecutionID, r *run) {
	if c.cfg.Spans == nil {
		return
	}
	for i, result := range r.batch.Results {
		body := r.mail[i].Event.Body
		asked := history.TraceOf(body)
		if asked == nil || !asked.Valid() {
			continue
		}
		s := history.Span{
			Kind: history.OperationSpan, Hub: l.ref.Hub, Instance: l.ref.ID, Execution: life, Name: operationOf(body),
			Trace: *history.TraceOf(r.entity.Operations[i].Body), Parent: *asked,
			Began: r.began, Ended: c.now, Status: history.Completed, TaskID: history.NoID,
		}
		if result.Failure != nil {
			s.Status, s.Failure = history.Failed, result.Failure
		}
		c.view.open.spans = append(c.view.open.spans, s)
	}
}

// operationOf returns the name of an operation.
func operationOf(body history.Body) string {
	switch b := body.(type) {
	case *history.EntityOperationCalled:
		return b.Operation
	case *history.EntityOperationSignaled:
		return b.Operation
	}
	return ""
}
