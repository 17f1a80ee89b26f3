package partition

import (
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/reprise-run/reprise/history"
)

// Turn is what [Apply] records.
type Turn struct {
	// Began is the orchestrator's clock in the episode.
	Began time.Time
	// Mail is what the episode took, oldest first; Rest what arrived since.
	Mail []*Mail
	Rest []*Mail
	// Episode is what was decided.
	Episode history.Episode
	// ByServer is set where the server decided, not an orchestrator: the custom
	// status stays as it is.
	ByServer bool
}

// Effects are what a turn makes possible once it is committed. They are hints:
// the state tells a new leader all of it.
type Effects struct {
	// Row is the stored form of the events that were recorded.
	Row []byte
	// Tasks are activities to run.
	Tasks []Task
	// Canceled are the activities whose results are not wanted any more. Where the
	// execution ended, that goes for all that it had pending, listed or not.
	Canceled []*history.TaskCanceled
	// Armed are the timers that were armed.
	Armed []Timer
	// Dropped are places in Turn.Rest: mail that has nobody left to take it.
	Dropped []int
	// Sent are letters to other instances, in the order in which they were decided.
	// The caller writes them to the outbox in the same entry, see [Send].
	Sent []Letter
	// Replied are the replies to updates.
	Replied []*history.UpdateCompleted
	// Ended is set where the execution ended.
	Ended bool
	// Continued is the stored mail that starts the next execution, where this one
	// continued as new; what is not in Dropped of Turn.Rest is stored behind it. All
	// activities of the old execution are unwanted.
	Continued []*Mail
}

// Task is an activity that was scheduled.
type Task struct {
	ID        int32
	Scheduled *history.TaskScheduled
	Activity  *Activity
}

// ErrUnsupported says that an episode decided what this version cannot record.
var ErrUnsupported = errors.New("decision is not supported")

// Create returns the record of a new instance. It is not written yet.
func Create(started *history.ExecutionStarted, now time.Time) *Record {
	return &Record{
		Execution:      started.ExecutionID,
		Name:           started.Name,
		Version:        started.Version,
		Status:         history.Pending,
		Created:        now,
		Updated:        now,
		ScheduledStart: started.ScheduledStart,
		LastID:         history.NoID,
		NextMail:       1,
		Tags:           started.Tags,
		Trace:          started.Trace,
		Parent:         started.Parent,
		Deadline:       started.Deadline,
	}
}

// Schedule arms the timer of a scheduled start and stores the start.
func Schedule(s Store, a Address, r *Record, start *Mail) (Timer, error) {
	t := Timer{Due: r.ScheduledStart, Address: a, Kind: StartTimer}
	arm(s, t)
	r.StartArmed = true
	return t, Keep(s, a, r, []*Mail{start})
}

// Validate reports why the decisions of an episode cannot be recorded.
func Validate(r *Record, ep history.Episode) error {
	if err := history.ValidateTags(ep.Tags); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	last := r.LastID
	for i, e := range ep.Decided {
		if e.ID <= last {
			return fmt.Errorf("%w: decision with ID %d after %d", ErrUnsupported, e.ID, last)
		}
		last = e.ID
		if err := validateDecision(e.Body); err != nil {
			return err
		}
		if e.Body.Kind() == history.KindExecutionCompleted && i != len(ep.Decided)-1 {
			return fmt.Errorf("%w: a decision after the completion", ErrUnsupported)
		}
	}
	return nil
}

// validateDecision reports why a decision cannot be recorded.
func validateDecision(body history.Body) error {
	var err error
	switch body := body.(type) {
	case *history.TaskCanceled, *history.TimerCreated, *history.TimerCanceled, *history.SubOrchestrationInstanceCanceled,
		*history.EntityOperationCanceled, *history.EntityUnlockSent,
		*history.LocalTaskRun, *history.UpdateCompleted:
	case *history.PatchApplied:
		err = history.ValidatePatchName(body.Patch)
	case *history.TaskScheduled:
		if err = history.ValidateName(body.Name); err == nil {
			err = body.Options.Validate()
		}
		if err != nil {
			err = fmt.Errorf("activity %.64q: %w", body.Name, err)
		}
	case *history.EntityOperationSignaled:
		err = validateOperation(body.Target, body.Operation)
	case *history.EntityOperationCalled:
		err = validateOperation(body.Target, body.Operation)
	case *history.EntityLockRequested:
		err = validateLockSet(body.LockSet)
	case *history.EventSent:
		if err = history.ValidateOrchestrationID(body.Instance); err == nil {
			err = history.ValidateEventName(body.Name)
		}
	case *history.SubOrchestrationInstanceCreated:
		err = validateChild(body)
	case *history.ExecutionCompleted:
		if !body.Status.Ended() && body.Status != history.ContinuedAsNew {
			return fmt.Errorf("%w: completion with status %s", ErrUnsupported, body.Status)
		}
		if err = history.ValidateName(body.NextVersion); err != nil {
			err = fmt.Errorf("version of the next execution: %w", err)
		}
	default:
		return fmt.Errorf("%w: %T", ErrUnsupported, body)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil
}

// Apply records a turn whose episode is valid, and changes the record.
func Apply(s Store, a Address, r *Record, t Turn) (Effects, error) {
	var fx Effects
	if end := t.Episode.Completion(); end != nil && end.Status == history.ContinuedAsNew {
		return applyContinued(s, a, r, t, end)
	}
	events := make([]history.Event, 0, 1+len(t.Mail)+len(t.Episode.Decided))
	events = append(events, arrival(t.Began, history.OrchestratorStarted{}))
	for _, m := range t.Mail {
		events = append(events, m.Event)
	}
	for _, e := range t.Episode.Decided {
		e.Time = t.Began
		events = append(events, e)
	}
	fx.Row = history.EncodeEvents(events)
	setRow(s, a.historyKey(r.Execution, r.Episodes), fx.Row)

	if err := take(s, a, r, t.Mail); err != nil {
		return fx, err
	}
	unpark(s, a, r)
	disarmStart(s, a, r)
	if r.Status == history.Pending {
		r.Status = history.Running
	}
	r.Updated = t.Began
	for _, e := range t.Episode.Decided {
		if err := decide(s, a, r, e, t, &fx); err != nil {
			return fx, err
		}
		r.LastID = max(r.LastID, e.ID) // an end by the server has none
	}
	r.Episodes++
	r.Events += int64(len(events))
	if !t.ByServer {
		setCustomStatus(s, a, r, t.Episode.CustomStatus)
		setTags(r, t.Episode.Tags)
		r.Awaits, r.Buffered = t.Episode.Awaits, int64(t.Episode.Buffered)
		r.Updates = t.Episode.Updates
	}
	if fx.Ended {
		if err := end(s, a, r, t, &fx); err != nil {
			return fx, err
		}
	}
	setReady(s, a, r)
	s.Set(a.RecordKey(), r.Encode())
	return fx, nil
}

// end lets go of all that an instance has pending when it ends.
func end(s Store, a Address, r *Record, t Turn, fx *Effects) error {
	r.Awaits, r.Updates = nil, nil
	r.CancelRequested, r.CancelReason = time.Time{}, ""
	if err := leaveChildren(s, a, r, recursion(t.Mail), fx); err != nil {
		return err
	}
	if err := leaveEntities(s, a, r, fx); err != nil {
		return err
	}
	if err := clearPending(s, a, r); err != nil {
		return err
	}
	fx.Dropped = fx.Dropped[:0]
	for i, m := range t.Rest {
		fx.Dropped = append(fx.Dropped, i)
		if m.Sent != 0 {
			Taken(s, a.Partition, m)
		}
	}
	return nil
}

// take takes the mail of a turn.
func take(s Store, a Address, r *Record, mail []*Mail) error {
	for _, m := range mail {
		if err := consume(s, a, r, m); err != nil {
			return err
		}
		arrive(s, a, r, m)
	}
	return nil
}

// applyContinued records a turn after which the instance goes on with a new
// execution. What else was decided that concerns others is carried out (events are
// sent, orchestrations started and cancelled), but there is no history of it.
func applyContinued(s Store, a Address, r *Record, t Turn, end *history.ExecutionCompleted) (fx Effects, err error) {
	if err := take(s, a, r, t.Mail); err != nil {
		return fx, err
	}
	unpark(s, a, r)
	disarmStart(s, a, r)
	r.Updated = t.Began
	for _, e := range t.Episode.Decided[:len(t.Episode.Decided)-1] {
		switch e.Body.(type) {
		case *history.TaskScheduled, *history.TaskCanceled, *history.TimerCreated, *history.TimerCanceled, *history.LocalTaskRun:
			continue // it would go at once
		}
		if err := decide(s, a, r, e, Turn{Began: t.Began}, &fx); err != nil {
			return fx, err
		}
	}
	setCustomStatus(s, a, r, t.Episode.CustomStatus)
	setTags(r, t.Episode.Tags)
	return fx, continueAsNew(s, a, r, t, end, &fx)
}

// recursion returns the termination that is to reach the children, or nil.
func recursion(mail []*Mail) *history.ExecutionTerminated {
	for _, m := range mail {
		if end, ok := m.Event.Body.(*history.ExecutionTerminated); ok && end.Recurse {
			return end
		}
	}
	return nil
}

// arrival is an event that is not the record of a decision.
func arrival(at time.Time, body history.Body) history.Event {
	return history.Event{ID: history.NoID, Time: at, Body: body}
}

// decide carries out one decision.
func decide(s Store, a Address, r *Record, e history.Event, t Turn, fx *Effects) error {
	switch body := e.Body.(type) {
	case *history.TaskScheduled:
		schedule(s, a, r, e.ID, body, t.Began, fx)
	case *history.TaskCanceled:
		return cancelActivity(s, a, r, body, t.Rest, fx)
	case *history.TimerCreated:
		startTimer(s, a, r, e.ID, body, fx)
	case *history.TimerCanceled:
		return cancelTimer(s, a, r, body, t.Rest, fx)
	case *history.SubOrchestrationInstanceCreated:
		begin(s, a, r, e.ID, body, fx)
	case *history.SubOrchestrationInstanceCanceled:
		if body.Request {
			return askChild(s, a, r, body, fx)
		}
		return cancelChild(s, a, r, body.TaskID, t.Rest, fx)
	case *history.EventSent:
		fx.Sent = append(fx.Sent, a.letter(r, body.Instance, "", &history.EventRaised{Name: body.Name, Input: body.Input, Trace: body.Trace}))
	case *history.UpdateCompleted:
		Reply(s, a, r.StartedAs(), body, false)
		fx.Replied = append(fx.Replied, body)
	case *history.EntityOperationSignaled:
		fx.Sent = append(fx.Sent, a.signal(r, body))
	case *history.EntityOperationCalled:
		callEntity(s, a, r, e.ID, body, fx)
	case *history.EntityOperationCanceled:
		return cancelCall(s, a, r, body.TaskID, t.Rest, fx)
	case *history.EntityLockRequested:
		requestLock(s, a, r, e.ID, body, fx)
	case *history.EntityUnlockSent:
		return releaseLock(s, a, r, body.TaskID, t.Rest, fx)
	case *history.ExecutionCompleted:
		r.Status = body.Status
		r.Completed = t.Began
		fx.Ended = true
		tellParent(a, r, body, fx)
	}
	return nil
}

// drop deletes the mail that nobody takes any more.
func drop(s Store, a Address, r *Record, rest []*Mail, fx *Effects, unwanted func(history.Body) bool) error {
	for i, m := range rest {
		if !unwanted(m.Event.Body) {
			continue
		}
		fx.Dropped = append(fx.Dropped, i)
		switch {
		case m.Number != 0:
			if err := consume(s, a, r, m); err != nil {
				return err
			}
		case m.Sent != 0:
			Taken(s, a.Partition, m)
		}
	}
	return nil
}

// clearPending deletes what an execution had pending, its inbox included.
func clearPending(s Store, a Address, r *Record) error {
	if r.Activities > 0 {
		ids, err := numbers(s, a, ReadActivities)
		for _, id := range ids {
			if err == nil {
				err = removeActivity(s, a, r, id)
			}
		}
		if err != nil {
			return err
		}
	}
	if r.Timers > 0 {
		ids, err := numbers(s, a, ReadTimers)
		for _, id := range ids {
			if err == nil {
				err = removeTimer(s, a, r, id)
			}
		}
		if err != nil {
			return err
		}
	}
	if r.Stored > 0 {
		return clearInbox(s, a, r)
	}
	return nil
}

// Park stores all mail and takes the instance out of the ready list, until its
// next turn.
func Park(s Store, a Address, r *Record, p Parked, mail []*Mail, now time.Time) error {
	unpark(s, a, r)
	disarmStart(s, a, r)
	r.Parked = p
	r.Updated = now
	s.Set(a.parkedKey(p), readyValue)
	if r.Ready {
		r.Ready = false
		s.Delete(a.readyKey())
	}
	return Keep(s, a, r, mail)
}

func unpark(s Store, a Address, r *Record) {
	if r.Parked.Why != NotParked {
		s.Delete(a.parkedKey(r.Parked))
		r.Parked = Parked{}
	}
}

func disarmStart(s Store, a Address, r *Record) {
	if r.StartArmed {
		s.Delete(Timer{Due: r.ScheduledStart, Address: a, Kind: StartTimer}.Key())
		r.StartArmed = false
	}
}

// Remove deletes all rows of an instance that has ended. Rows of another execution of the same
// ID may have been written ahead; they stay, if that execution numbers its mail
// from this record's NextMail on, and below its Before.
func Remove(s Store, a Address, r *Record) error {
	if err := clearPending(s, a, r); err != nil {
		return err
	}
	unpark(s, a, r)
	disarmStart(s, a, r)
	if r.Ready {
		r.Ready = false
		s.Delete(a.readyKey())
	}
	setCustomStatus(s, a, r, nil)
	s.Delete(a.RecordKey())
	if r.Episodes == 0 {
		return nil
	}
	return deleteHistory(s, a, r.Execution)
}

// setCustomStatus writes the custom status if it changed.
func setCustomStatus(s Store, a Address, r *Record, status history.Payload) {
	var sum uint64
	if status != nil {
		sum = xxhash.Sum64(status) | 1
	}
	if sum == r.CustomStatus {
		return
	}
	r.CustomStatus = sum
	key := pieceKey(a.customStatusKey(), 0)
	if status == nil {
		s.Delete(key)
		return
	}
	s.Set(key, pieceValue(1, status)) // in one piece: the row is written over
}

// setTags takes the tags that the code has changed.
func setTags(r *Record, tags map[string]string) {
	if tags != nil {
		r.Tags = tags
	}
}
