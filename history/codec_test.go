package history

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/pack"
)

var rewrite = flag.Bool("rewrite-golden", false, "write the golden files anew; a changed file is a changed format")

// every holds one event of each kind with every field set, and one of each kind
// with as little as possible.
func every() []Event {
	at := time.Date(2026, 11, 23, 13, 0, 0, 123, time.UTC)
	failure := &Failure{Type: "*shop.Error", Code: "shop.broken", Message: "broken", Stack: "goroutine 1", NonRetriable: true,
		Data: Payload(`{"n":1}`), Inner: []*Failure{{Message: "inner"}}, Extra: []byte{9}}
	parent := &ParentInstance{Name: "p", Instance: "i", Execution: "e", TaskID: 3, Depth: 2}
	return []Event{
		{ID: NoID, Time: at, Body: OrchestratorStarted{}},
		{ID: NoID, Time: at, Body: &ExecutionStarted{Name: "order.fulfil", Version: "2", Input: Payload(`{"id":7}`), ExecutionID: "00ff",
			Parent: parent, ScheduledStart: at, Trace: Trace{Parent: "00-1"}, Tags: map[string]string{"b": "2", "a": "1"}, Deadline: at.Add(time.Hour)}, Extra: []byte{1, 2}},
		{ID: 9, Time: at, Body: &ExecutionCompleted{Status: Failed, Result: Payload(`null`), Failure: failure}},
		{ID: NoID, Time: at, Body: &ExecutionTerminated{Reason: Payload(`"why"`), Recurse: true}},
		{ID: 0, Time: at, Body: &TaskScheduled{Name: "stock.reserve", Version: "1", Input: Payload(`""`), Trace: Trace{Parent: "00-2"}, Timeout: time.Minute, Tags: map[string]string{"x": "y"},
			Retry: &RetryPolicy{MaxAttempts: 5, First: time.Second, Backoff: 2, MaxInterval: time.Hour, Total: 2 * time.Hour, NonRetryable: []string{"shop.broken"}}}},
		{ID: NoID, Time: at, Body: &TaskCompleted{TaskID: 1 << 30, Result: Payload{}}},
		{ID: NoID, Time: at, Body: &TaskFailed{TaskID: 2, Failure: failure}},
		{ID: 3, Time: at, Body: &TaskCanceled{TaskID: 0, Reason: "late"}},
		{ID: 4, Time: at, Body: &TimerCreated{FireAt: at.Add(72 * time.Hour)}},
		{ID: NoID, Time: at, Body: &TimerFired{TimerID: 4, FireAt: at}},
		{ID: 5, Time: at, Body: &TimerCanceled{TimerID: 4}},
		{ID: 6, Time: at, Body: &SubOrchestrationInstanceCreated{Instance: "kid", Name: "shop.kid", Version: "3", Input: Payload(`1`), Detached: true, Trace: Trace{Parent: "00-3"}, Tags: map[string]string{"x": "y"}, Timeout: time.Hour}},
		{ID: NoID, Time: at, Body: &SubOrchestrationInstanceCompleted{TaskID: 6, Result: Payload(`2`)}},
		{ID: NoID, Time: at, Body: &SubOrchestrationInstanceFailed{TaskID: 6, Failure: failure}},
		{ID: 7, Time: at, Body: &SubOrchestrationInstanceCanceled{TaskID: 6, Request: true, Reason: "late"}},
		{ID: 8, Time: at, Body: &EventSent{Instance: "other", Name: "approved", Input: Payload(`3`)}},
		{ID: NoID, Time: at, Body: &EventRaised{Name: "Approved", Input: Payload(`4`)}},
		{ID: 15, Time: at, Body: &LocalTaskRun{Name: "stock.count", Attempt: 2, Result: Payload(`8`), Failure: failure}},
		{ID: 10, Time: at, Body: &EntityOperationSignaled{Target: "@counter@a", Operation: "add", Input: Payload(`5`), ScheduledTime: at, Trace: Trace{Parent: "00-4"}}},
		{ID: 11, Time: at, Body: &EntityOperationCalled{Target: "@counter@a", Operation: "get", Input: Payload(`6`), Section: 9, Trace: Trace{Parent: "00-5"}, Caller: parent}},
		{ID: NoID, Time: at, Body: &EntityOperationCompleted{TaskID: 11, Result: Payload(`7`)}},
		{ID: NoID, Time: at, Body: &EntityOperationFailed{TaskID: 11, Failure: failure}},
		{ID: 12, Time: at, Body: &EntityOperationCanceled{TaskID: 11}},
		{ID: 13, Time: at, Body: &EntityLockRequested{LockSet: []InstanceID{"@counter@a", "@counter@b"}, Holder: parent}},
		{ID: NoID, Time: at, Body: &EntityLockGranted{TaskID: 13}},
		{ID: 14, Time: at, Body: &EntityUnlockSent{TaskID: 13, Holder: parent}},
		{ID: 16, Time: at, Body: &PatchApplied{Patch: "two-phases"}},
		{ID: NoID, Time: at, Body: &UpdateRequested{Request: "r1", Sent: at, Name: "price", Input: Payload(`9`)}},
		{ID: 17, Time: at, Body: &UpdateCompleted{Request: "r1", Sent: at, Name: "price", Result: Payload(`10`), Failure: failure}},
		{Body: &PatchApplied{}}, {Body: &UpdateRequested{}}, {Body: &UpdateCompleted{}},
		{Body: &EntityOperationSignaled{}}, {Body: &EntityOperationCalled{}}, {Body: &EntityOperationCompleted{}}, {Body: &EntityOperationFailed{}},
		{Body: &EntityOperationCanceled{}}, {Body: &EntityLockRequested{}}, {Body: &EntityLockGranted{}}, {Body: &EntityUnlockSent{}}, {Body: &LocalTaskRun{}},
		{ID: NoID, Time: at, Body: &ExecutionCancelRequested{Reason: "enough"}}, {Body: &ExecutionCancelRequested{}},
		{ID: 16, Time: at, Body: &TaskScheduled{Name: "card.charge", Options: &TaskOptions{HeartbeatTimeout: time.Second, ScheduleToStart: time.Minute,
			ScheduleToClose: time.Hour, AtMostOnce: true, Priority: -3, FairnessKey: "tenant", Nodes: map[string]string{"zone": "a", "gpu": "true"}}}},
		{ID: NoID, Body: &ExecutionStarted{}}, {Body: &ExecutionCompleted{}}, {Body: &ExecutionTerminated{}}, {Body: &TaskScheduled{}},
		{Body: &TaskCompleted{}}, {Body: &TaskFailed{}}, {Body: &TaskCanceled{}}, {Body: &TimerCreated{}}, {Body: &TimerFired{}}, {Body: &TimerCanceled{}},
		{Body: &SubOrchestrationInstanceCreated{}}, {Body: &SubOrchestrationInstanceCompleted{}}, {Body: &SubOrchestrationInstanceFailed{}}, {Body: &SubOrchestrationInstanceCanceled{}}, {Body: &EventSent{}}, {Body: &EventRaised{}},
		{ID: 20, Time: at, Body: &ExecutionCompleted{Status: ContinuedAsNew, Result: Payload(`11`), NextVersion: "2.0"}},
		{ID: NoID, Time: at, Body: &ExecutionStarted{Name: "o", Trace: Trace{"00-6", "a=1"}}},
		{ID: 21, Time: at, Body: &TaskScheduled{Name: "t", Trace: Trace{"00-7", "a=2"}}},
		{ID: 22, Time: at, Body: &TaskScheduled{Name: "t", Trace: Trace{"00-8", "a=3"}, Options: &TaskOptions{AtMostOnce: true}}},
		{ID: 23, Time: at, Body: &SubOrchestrationInstanceCreated{Instance: "kid", Trace: Trace{"00-9", "a=4"}}},
		{ID: 24, Time: at, Body: &EntityOperationSignaled{Target: "@counter@a", Trace: Trace{"00-10", "a=5"}}},
		{ID: 25, Time: at, Body: &EntityOperationCalled{Target: "@counter@a", Trace: Trace{"00-11", "a=6"}, Caller: parent}},
		{ID: 26, Time: at, Body: &EventSent{Instance: "kid", Name: "e", Trace: Trace{"00-12", "a=7"}}},
		{ID: 27, Time: at, Body: &EventSent{Instance: "kid", Name: "e", Trace: Trace{Parent: "00-13"}}},
		{ID: NoID, Time: at, Body: &EventRaised{Name: "e", Trace: Trace{"00-14", "a=8"}}},
		{ID: NoID, Time: at, Body: &EventRaised{Name: "e", Trace: Trace{Parent: "00-15"}}},
		{ID: NoID, Time: at, Body: &TaskFailed{TaskID: 28, Failure: &Failure{Message: "no", MayHaveActed: true, Inner: []*Failure{{Message: "plain"}}}}},
	}
}

// Yesterday's disk opens tomorrow.
func TestGoldenEvents(t *testing.T) {
	path := filepath.Join("testdata", "events.v1.hex")
	got := EncodeEvents(every())
	if *rewrite {
		if err := os.WriteFile(path, []byte(hex.EncodeToString(got)+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, stored) {
		t.Errorf("the stored form of events has changed:\n got %x\nwant %x", got, stored)
	}
	events, err := DecodeEvents(stored)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(events, every()) {
		t.Errorf("stored events read as\n%v\nwant\n%v", events, every())
	}
}

// What was written before these events had their last fields reads as without them.
func TestDecodeOlder(t *testing.T) {
	old, err := hex.DecodeString(strings.TrimSpace(read(t, filepath.Join("testdata", "events.older.hex"))))
	if err != nil {
		t.Fatal(err)
	}
	events, err := DecodeEvents(old)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range events {
		switch b := e.Body.(type) {
		case *ExecutionStarted:
			got = append(got, fmt.Sprint(b.Name, b.Deadline.IsZero()))
		case *TaskCanceled:
			got = append(got, Describe(e))
		case *SubOrchestrationInstanceCanceled:
			got = append(got, Describe(e))
		case *SubOrchestrationInstanceCreated:
			got = append(got, fmt.Sprint(b.Name, b.Timeout))
		}
	}
	want := []string{"order.fulfiltrue", "#3 TaskCanceled of=#0", "shop.kid0s", "#7 SubOrchestrationInstanceCanceled of=#6", "true", "#0 TaskCanceled of=#0", "0s", "#0 SubOrchestrationInstanceCanceled of=#0"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func read(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestDecodeUnknownKind(t *testing.T) {
	w := pack.NewWriter(0, 1)
	w.Array(1)
	w.Array(5)
	w.Int(200)
	w.Int(0)
	w.Int(0)
	w.Nil()
	w.Array(0)
	if _, err := DecodeEvents(w.Bytes()); !errors.Is(err, pack.ErrMalformed) || !strings.Contains(err.Error(), "kind 200") {
		t.Errorf("an event of a later version reads as %v", err)
	}
}

// A field of an event that a newer version has added is refused, not skipped, whatever
// the event is, and also in a failure that it holds.
func TestDecodeUnknownField(t *testing.T) {
	for _, e := range every() {
		var events []any
		if err := msgpack.Unmarshal(EncodeEvents([]Event{e})[2:], &events); err != nil {
			t.Fatal(err)
		}
		decode := func() error {
			w := pack.NewWriter(0, 1)
			write(w, events[0])
			_, err := DecodeEvents(w.Bytes())
			return err
		}
		if err := decode(); err != nil {
			t.Errorf("%s: %v", Describe(e), err)
		}
		event := events[0].([]any)[0].([]any)
		grown := []*any{&event[4]}
		if FailureIn(e.Body) != nil {
			for i, field := range event[4].([]any) {
				if _, failure := field.([]any); failure {
					grown = append(grown, &event[4].([]any)[i])
				}
			}
		}
		for _, array := range grown {
			known := *array
			*array = append(slices.Clone(known.([]any)), make([]any, 5)...)
			if err := decode(); !errors.Is(err, pack.ErrMalformed) || !strings.Contains(err.Error(), "a newer one has written it") {
				t.Errorf("%s with fields of a newer version: %v", Describe(e), err)
			}
			*array = known
		}
	}
}

// write writes what the msgpack library has read.
func write(w *pack.Writer, v any) {
	switch v := v.(type) {
	case nil:
		w.Nil()
	case []any:
		w.Array(len(v))
		for _, x := range v {
			write(w, x)
		}
	case bool:
		w.Bool(v)
	case float64:
		w.Float(v)
	case string:
		w.String(v)
	case []byte:
		w.Binary(v)
	default:
		n := reflect.ValueOf(v)
		if n.CanInt() {
			w.Int(n.Int())
		} else {
			w.Int(int64(n.Uint()))
		}
	}
}

// Failures that nest without end are cut, not refused: they are a user's data.
func TestDeepFailure(t *testing.T) {
	deep := &Failure{Message: "bottom"}
	for range 1000 {
		deep = &Failure{Message: "outer", Inner: []*Failure{deep}}
	}
	events, err := DecodeEvents(EncodeEvents([]Event{{Body: &TaskFailed{Failure: deep}}}))
	if err != nil {
		t.Fatal(err)
	}
	depth := 0
	for f := events[0].Body.(*TaskFailed).Failure; len(f.Inner) > 0; f = f.Inner[0] {
		depth++
	}
	if depth != maxFailureDepth {
		t.Errorf("failure comes back %d deep, want %d", depth, maxFailureDepth)
	}
}

// Whatever decodes encodes to something that decodes to the same; whatever does
// not is an error, not a panic or a giant allocation.
func FuzzDecodeEvents(f *testing.F) {
	all := every()
	f.Add(EncodeEvents(all))
	for _, e := range all {
		f.Add(EncodeEvents([]Event{e}))
	}
	f.Add([]byte{pack.Version, pack.Flags, 0x91, 0xdd, 0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := DecodeEvents(data)
		if err != nil {
			return
		}
		again, err := DecodeEvents(EncodeEvents(events))
		if err != nil {
			t.Fatalf("decoded events do not survive: %v", err)
		}
		if !reflect.DeepEqual(events, again) {
			t.Errorf("%v became %v", events, again)
		}
	})
}

func BenchmarkEncodeEvents(b *testing.B) {
	events := every()[:6]
	for b.Loop() {
		EncodeEvents(events)
	}
}
