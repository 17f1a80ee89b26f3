package wire

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
)

var at = time.Date(2026, 11, 23, 10, 0, 0, 123456789, time.UTC)

// events has one of every body, with every field set.
func events() []history.Event {
	failure := &history.Failure{
		Type: "*shop.Declined", Code: "card.declined", Message: "declined", Stack: "main.go:1", NonRetriable: true, MayHaveActed: true,
		Data: history.Payload(`{"Reason":"x"}`), Inner: []*history.Failure{{Message: "one"}, {Message: "two", Code: "c"}},
	}
	bodies := []history.Body{
		history.OrchestratorStarted{},
		&history.ExecutionStarted{
			Name: "o", Version: "2", Input: history.Payload(`{}`), ExecutionID: "0123", ScheduledStart: at, Trace: history.Trace{Parent: "00-a", State: "a=1"},
			Parent: &history.ParentInstance{Name: "p", Instance: "parent", Execution: "4567", TaskID: 3, Depth: 2}, Tags: map[string]string{"a": "b"}, Deadline: at,
		},
		&history.ExecutionCompleted{Status: history.Failed, Result: history.Payload{}, Failure: failure},
		&history.ExecutionTerminated{Reason: history.Payload(`"why"`), Recurse: true},
		&history.TaskScheduled{
			Name: "a", Version: "1", Input: history.Payload{0xff, 0}, Timeout: time.Second, Trace: history.Trace{Parent: "00-b", State: "a=1"}, Tags: map[string]string{"k": "v"},
			Retry: &history.RetryPolicy{MaxAttempts: 3, First: time.Second, Backoff: 1.5, MaxInterval: time.Minute, Total: time.Hour, NonRetryable: []string{"x"}},
		},
		&history.TaskScheduled{Name: "a", Options: &history.TaskOptions{
			HeartbeatTimeout: time.Second, ScheduleToStart: time.Minute, ScheduleToClose: time.Hour, AtMostOnce: true,
			Priority: -3, FairnessKey: "tenant", Nodes: map[string]string{"gpu": "true"},
		}},
		&history.TaskCompleted{TaskID: 4, Result: history.Payload(`1`)},
		&history.TaskFailed{TaskID: 5, Failure: failure},
		&history.TaskCanceled{TaskID: 6, Reason: "late"},
		&history.TimerCreated{FireAt: at},
		&history.TimerFired{TimerID: 7, FireAt: at},
		&history.TimerCanceled{TimerID: 8},
		&history.SubOrchestrationInstanceCreated{
			Instance: "kid", Name: "c", Version: "4", Input: history.Payload(`{}`), Trace: history.Trace{Parent: "00-c", State: "a=1"}, Tags: map[string]string{"k": "v"}, Detached: true, Timeout: time.Hour,
		},
		&history.SubOrchestrationInstanceCompleted{TaskID: 9, Result: history.Payload(`1`)},
		&history.SubOrchestrationInstanceFailed{TaskID: 10, Failure: failure},
		&history.SubOrchestrationInstanceCanceled{TaskID: 11, Request: true, Reason: "late"},
		&history.ExecutionCancelRequested{Reason: "enough"},
		&history.EventSent{Instance: "other", Name: "e", Input: history.Payload(`1`), Trace: history.Trace{Parent: "00-f", State: "a=1"}},
		&history.EventRaised{Name: "e", Input: history.Payload(`2`), Trace: history.Trace{Parent: "00-g"}},
		&history.EntityOperationSignaled{Target: "@e@k", Operation: "add", Input: history.Payload(`1`), ScheduledTime: at, Trace: history.Trace{Parent: "00-d", State: "a=1"}},
		&history.EntityOperationCalled{Target: "@e@k", Operation: "get", Input: history.Payload{}, Section: history.NoID, Trace: history.Trace{Parent: "00-e", State: "a=1"}},
		&history.EntityOperationCalled{Target: "@e@k", Operation: "get", Section: 0},
		&history.EntityOperationCompleted{TaskID: 12, Result: history.Payload(`1`)},
		&history.EntityOperationFailed{TaskID: 0, Failure: failure},
		&history.EntityOperationCanceled{TaskID: 13},
		&history.EntityLockRequested{LockSet: []history.InstanceID{"@e@k", "@e@l"}},
		&history.EntityLockGranted{TaskID: 14},
		&history.EntityUnlockSent{TaskID: 14},
		&history.PatchApplied{Patch: "two-phases"},
		&history.UpdateRequested{Request: "r1", Sent: at, Name: "price", Input: history.Payload(`9`)},
		&history.UpdateCompleted{Request: "r1", Sent: at, Name: "price", Result: history.Payload(`10`), Failure: failure},
		&history.LocalTaskRun{Name: "l", Attempt: 2, Result: history.Payload(`3`), Failure: failure},
	}
	var all []history.Event
	for i, b := range bodies {
		all = append(all, history.Event{ID: int32(i) - 1, Time: at, Body: b})
	}
	return all
}

func TestEventsRoundTrip(t *testing.T) {
	for _, want := range events() {
		m, err := FromEvent(want, "inst")
		if err != nil {
			t.Fatal(err)
		}
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatalf("%T: %v", want.Body, err)
		}
		var back durabletask.HistoryEvent
		if err := proto.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		got, err := Event(&back)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%T:\n got %s\nwant %s", want.Body, history.Describe(got), history.Describe(want))
		}
	}
}

// TestKindIsFieldNumber: a body's kind is its field number in HistoryEvent, and
// our own kinds are moved to where no SDK looks.
func TestKindIsFieldNumber(t *testing.T) {
	for _, e := range events() {
		m, err := FromEvent(e, "inst")
		if err != nil {
			t.Fatal(err)
		}
		r := m.ProtoReflect()
		field := r.WhichOneof(r.Descriptor().Oneofs().ByName("event_type")).Number()
		want := protowire.Number(e.Body.Kind())
		if want >= 64 {
			want += 50000
		}
		if field != want {
			t.Errorf("%T is field %d, want %d", e.Body, field, want)
		}
	}
}

func TestPayloadPresence(t *testing.T) {
	for _, want := range []history.Payload{nil, {}, history.Payload(`null`), {0xff}} {
		m := &durabletask.TaskCompletedEvent{Result: FromPayload(want)}
		raw, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var back durabletask.TaskCompletedEvent
		if err := proto.Unmarshal(raw, &back); err != nil {
			t.Fatal(err)
		}
		got := Payload(back.Result)
		if (got == nil) != (want == nil) || !bytes.Equal(got, want) {
			t.Errorf("%#v came back as %#v", want, got)
		}
	}
}

// TestUnknownFieldsAreKept: properties of a failure and fields from the future
// survive a way through history.
func TestUnknownFieldsAreKept(t *testing.T) {
	future := protowire.AppendVarint(protowire.AppendTag(nil, 77, protowire.VarintType), 9)
	details := &durabletask.TaskFailureDetails{ErrorType: "E", Properties: map[string]*structpb.Value{"a": structpb.NewNumberValue(1)}}
	details.ProtoReflect().SetUnknown(future)
	raw, err := proto.Marshal(FromFailure(Failure(details)))
	if err != nil {
		t.Fatal(err)
	}
	var back durabletask.TaskFailureDetails
	if err := proto.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(&back, details) {
		t.Errorf("came back as %v", &back)
	}

	m := &durabletask.HistoryEvent{EventType: &durabletask.HistoryEvent_OrchestratorStarted{OrchestratorStarted: &durabletask.OrchestratorStartedEvent{}}}
	m.ProtoReflect().SetUnknown(future)
	e, err := Event(m)
	if err != nil {
		t.Fatal(err)
	}
	again, err := FromEvent(e, "inst")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.ProtoReflect().GetUnknown(), future) {
		t.Errorf("an event's unknown fields are lost")
	}
}

func TestUnknownEventIsAnError(t *testing.T) {
	if _, err := Event(&durabletask.HistoryEvent{}); err == nil {
		t.Error("an event without body was taken")
	}
	odd := &durabletask.EntityOperationCompletedEvent{RequestId: "a3f0"}
	if _, err := Event(&durabletask.HistoryEvent{EventType: &durabletask.HistoryEvent_EntityOperationCompleted{EntityOperationCompleted: odd}}); err == nil {
		t.Error("the outcome of an operation that nobody decided was taken")
	}
	if _, err := FromEvent(history.Event{}, "inst"); err == nil {
		t.Error("an event without body got a wire form")
	}
}

func TestErrorTextsAreUTF8OnTheWire(t *testing.T) {
	if _, err := proto.Marshal(FromFailure(&history.Failure{Message: "\xff", Type: "\xff", Stack: "\xff", Code: "\xff"})); err != nil {
		t.Error(err)
	}
}
