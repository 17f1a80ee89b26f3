package partition

import (
	"bytes"
	"encoding/hex"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/reprise-run/reprise/history"
)

// at is a time some seconds after the beginning of 2026.
func at(seconds float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

var (
	anAddress = NewAddress(7, "default", "order-1")
	anEntity  = NewAddress(7, "default", "@account@a")
	policy    = &history.RetryPolicy{MaxAttempts: 4, First: time.Second, Backoff: 2, MaxInterval: 3 * time.Second, Total: time.Minute, NonRetryable: []string{"fatal"}}
)

// stored are rows of every table, for the golden file.
func stored() map[string][2][]byte {
	record := &Record{
		Execution: "0123456789abcdef0123456789abcdef", Name: "order.fulfil", Version: "2", Status: history.Running,
		Created: at(0), Updated: at(5), Completed: at(9), ScheduledStart: at(-1), Episodes: 3, Events: 9, LastID: 4,
		Activities: 2, Timers: 1, Stored: 1, NextMail: 300, Ready: true, StartArmed: true,
		Parked:   Parked{Why: Nondeterministic, Name: "order.fulfil", Version: "2", Reason: "a diff"},
		Children: 2, Parent: &history.ParentInstance{Name: "shop.day", Instance: "day-1", Execution: "ff", TaskID: 5}, Awaits: []string{"approved", "paid"}, Buffered: 7, First: "01", Deadline: at(600),
		Calls: 3, Sections: 1, Entity: &Entity{LockedBy: &history.ParentInstance{Name: "shop.pay", Instance: "pay-1", Execution: "fe", TaskID: 6}, Modified: at(6), State: 2, Pieces: 3, LastState: 4, Scheduled: 5, NextSignal: 6, Listed: true},
		CustomStatus: math.MaxUint64, Tags: map[string]string{"b": "2", "a": "1"}, Trace: history.Trace{Parent: "00-1-2-01"},
	}
	limited := &Record{Execution: "ff", Name: "o", LastID: history.NoID, Activities: 3, Limited: 2}
	waiting := &Record{Execution: "ff", Name: "@o", LastID: history.NoID, Stored: 2, Entity: &Entity{Scheduled: 1}, StoredBytes: 70000, ScheduledBytes: 3}
	before := &Record{Execution: "ff", Name: "o", LastID: history.NoID, Stored: 2, NextMail: 1<<40 + 7, Before: 3}
	canceled := &Record{Execution: "ff", Name: "o", LastID: history.NoID, CancelRequested: at(3), CancelReason: "enough"}
	traced := &Record{Execution: "ff", Name: "o", LastID: history.NoID, Trace: history.Trace{Parent: "00-1-2-01", State: "a=1"}}
	activity := &Activity{Execution: record.Execution, Name: "card.charge", Version: "1", Episode: 2, Attempt: 3,
		First: at(1), NextAttempt: at(4), LastFailure: "error: no", Retry: policy, FailedEpoch: 70000, FailedN: 12}
	special := *activity
	special.Options = &history.TaskOptions{HeartbeatTimeout: time.Second, ScheduleToStart: time.Minute, ScheduleToClose: time.Hour,
		AtMostOnce: true, Priority: -3, FairnessKey: "tenant", Nodes: map[string]string{"gpu": "true"}}
	special.Outside, special.Deadline, special.Closes, special.Noted = AttemptFence{70000, 13}, at(6), at(8), AttemptFence{70000, 14}
	special.StartBy, special.CloseBy, special.Progress = at(7), at(9), true
	doubtful := *activity
	doubtful.MayHaveActed = true
	progress := newMapStore()
	Heard(progress, anAddress, 3, &Activity{}, history.Payload(`{"n":1}`), at(1))
	s := newMapStore()
	SetAnswer(s, anAddress, "request-1", at(3), Answer{Code: 1, Execution: record.Execution, Started: true})
	var answerKey, answer []byte
	for k, v := range s.rows {
		answerKey, answer = []byte(k), v
	}
	letter := &Letter{Hub: "default", From: "day-1", FromExecution: "ff", To: "order-1", ToExecution: record.Execution, Cut: 3,
		Event: history.Event{ID: history.NoID, Time: at(2), Body: &history.ExecutionTerminated{Recurse: true}}}
	lanes := newMapStore()
	SetOutLane(lanes, 7, 9, OutLane{Next: 300})
	outLane := lanes.rows[string(laneKey(7, outward, 9))]
	SetInLane(lanes, 7, 9, InLane{Received: 70000})
	inLane := lanes.rows[string(laneKey(7, inward, 9))]
	timer := Timer{Due: at(4), Address: anAddress, Kind: RetryTimer, ID: 3}
	return map[string][2][]byte{
		"meta":       {MetaKey(7), Meta{Clock: at(1.5), Cut: 2}.Encode()},
		"counted":    {MetaKey(7), Meta{Clock: at(1.5), Counts: &Counts{Timers: 70000, Parked: [7]int64{Unbound: 2, Crowded: 300}}}.Encode()},
		"record":     {anAddress.RecordKey(), record.Encode()},
		"before":     {anAddress.RecordKey(), before.Encode()},
		"canceled":   {anAddress.RecordKey(), canceled.Encode()},
		"limited":    {anAddress.RecordKey(), limited.Encode()},
		"traced":     {anAddress.RecordKey(), traced.Encode()},
		"waiting":    {anAddress.RecordKey(), waiting.Encode()},
		"activity":   {anAddress.ActivityKey(3), activity.Encode()},
		"special":    {anAddress.ActivityKey(3), special.Encode()},
		"doubtful":   {anAddress.ActivityKey(3), doubtful.Encode()},
		"progress":   {anAddress.progressKey(3), progress.rows[string(anAddress.progressKey(3))]},
		"history":    {pieceKey(anAddress.historyKey(record.Execution, 258), 1), pieceValue(2, []byte("data"))},
		"inbox":      {pieceKey(anAddress.inboxKey(259), 0), pieceValue(1, []byte("data"))},
		"call":       {anAddress.callKey(5), Call{Target: "@account@a", Operation: "withdraw"}.Encode()},
		"lock":       {anAddress.sectionKey(6), (&Section{LockSet: []history.InstanceID{"@account@a", "@account@b"}, Acquired: 1}).Encode()},
		"entity":     {anEntity.entityKey(), readyValue},
		"state":      {pieceKey(anEntity.stateKey(2), 1), pieceValue(3, []byte("data"))},
		"signal":     {pieceKey(anEntity.signalKey(3), 0), pieceValue(1, history.EncodeEvents([]history.Event{event(&history.EntityOperationSignaled{Operation: "add"})}))},
		"child":      {anAddress.childKey(5), Child{Instance: "kid", Execution: "00ff", Name: "shop.kid"}.Encode()},
		"outbox":     {pieceKey(outboxKey(7, 9, 258), 0), pieceValue(1, letter.Encode())},
		"out-lane":   {laneKey(7, outward, 9), outLane},
		"in-lane":    {laneKey(7, inward, 9), inLane},
		"timer-of":   {anAddress.timerOfKey(3), encodeDue(at(4))},
		"timer":      {timer.Key(), timerValue},
		"ready":      {anAddress.readyKey(), readyValue},
		"parked":     {anAddress.parkedKey(record.Parked), readyValue},
		"answer":     {answerKey, answer},
		"custom":     {pieceKey(anAddress.customStatusKey(), 0), pieceValue(1, []byte(`"busy"`))},
		"unfinished": {unfinishedKey(7, anAddress.inboxKey(259)), []byte{1, 0}},
	}
}

// TestGolden pins the stored form of every row: yesterday's disk opens tomorrow.
func TestGolden(t *testing.T) {
	rows := stored()
	told := map[string]bool{}
	datadriven.RunTest(t, "testdata/golden.txt", func(t *testing.T, d *datadriven.TestData) string {
		row, ok := rows[d.CmdArgs[0].Key]
		if !ok {
			d.Fatalf(t, "no row %q", d.CmdArgs[0].Key)
		}
		told[d.CmdArgs[0].Key] = true
		value := row[1]
		if name := d.CmdArgs[0].Key; name == "history" || name == "inbox" {
			value = nil // its data are not events here
		}
		return hex.EncodeToString(row[0]) + "\n" + hex.EncodeToString(row[1]) + "\n" + Describe(row[0], value) + "\n"
	})
	for name := range rows {
		if !told[name] {
			t.Errorf("testdata/golden.txt lacks %s", name)
		}
	}
}

// TestOlderForms reads records as they were before they got their newest fields.
func TestOlderForms(t *testing.T) {
	unhex := func(text string) []byte {
		b, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	meta, err := DecodeMeta(unhex("010091d31886725247622f00"))
	if err != nil || meta != (Meta{Clock: at(1.5)}) {
		t.Errorf("a meta record without a cut reads as %+v, %v", meta, err)
	}
	got, err := DecodeRecord(unhex("0100dc0015d9203031323334353637383961626364656630313233343536373839616263646566ac6f726465722e66756c66696ca13200d318867251edfa0000d31886725317fff200d318867254066b1a00d318867251b25f3600030904020101cd012cc3c39402ac6f726465722e66756c66696ca132a6612064696666ff94a161a131a162a132a930302d312d322d3031"))
	if err != nil || got.Activities != 2 || got.Trace != (history.Trace{Parent: "00-1-2-01"}) || got.Children != 0 || got.Parent != nil || got.Awaits != nil {
		t.Errorf("a record without children and parent reads as %+v, %v", got, err)
	}
}

func TestKeysReadBack(t *testing.T) {
	for _, timer := range []Timer{
		{at(4), anAddress, RetryTimer, 3},
		{at(0), NewAddress(1<<31, "h", "ü"), UserTimer, 0},
		{fromNanos(-5), anAddress, StartTimer, 1 << 30},
	} {
		if got, err := ParseTimer(timer.Key()); err != nil || got != timer {
			t.Errorf("%+v reads back as %+v, %v", timer, got, err)
		}
	}
	p := Parked{Why: Unbound, Name: "a name", Version: "3"}
	if a, got, err := ParseParkedKey(anAddress.parkedKey(p)); err != nil || a != anAddress || got != p {
		t.Errorf("parked key reads back as %v %v %v", a, got, err)
	}
	if a, id, err := ParseActivityKey(anAddress.ActivityKey(9)); err != nil || a != anAddress || id != 9 {
		t.Errorf("activity key reads back as %v %d %v", a, id, err)
	}
}

func TestTimersSortByTime(t *testing.T) {
	times := []time.Time{time.Unix(-100, 0), time.Unix(-1, 0), time.Unix(0, 1), at(0), at(0.000000001), at(1e9), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}
	var last []byte
	for _, due := range times {
		key := Timer{Due: due, Address: anAddress, Kind: UserTimer}.Key()
		if bytes.Compare(last, key) >= 0 {
			t.Errorf("the key of %s does not sort behind the one before", due)
		}
		last = key
	}
}

func TestClock(t *testing.T) {
	c := NewClock(at(100))
	steps := []struct {
		wall    float64
		elapsed time.Duration
		want    float64
	}{
		{90, time.Second, 100.5},     // behind: half speed
		{91, time.Second, 101},       // still
		{91, -time.Second, 101},      // never backward
		{50, 0, 101},                 // a jump back
		{101, time.Second, 101},      // met
		{102, time.Second, 102},      // goes with the wall clock
		{3702, time.Second, 3702},    // a jump ahead
		{102, 2 * time.Second, 3703}, // and back
	}
	for i, s := range steps {
		if got := c.Advance(at(s.wall), s.elapsed); !got.Equal(at(s.want)) {
			t.Errorf("step %d: wall %v makes %s, want %s", i, s.wall, got, at(s.want))
		}
	}
}

func TestFailed(t *testing.T) {
	plain := &history.Failure{Message: "no"}
	tests := []struct {
		what    string
		policy  *history.RetryPolicy
		attempt int
		now     float64
		failure *history.Failure
		wait    float64 // negative: for good
	}{
		{"no policy", nil, 1, 1, plain, -1},
		{"first", policy, 1, 1, plain, 1},
		{"second", policy, 2, 1, plain, 2},
		{"longest interval", policy, 3, 1, plain, 3},
		{"no attempt left", policy, 4, 1, plain, -1},
		{"code", policy, 1, 1, &history.Failure{Code: "fatal"}, -1},
		{"other code", policy, 1, 1, &history.Failure{Code: "x"}, 1},
		{"says so", policy, 1, 1, &history.Failure{NonRetriable: true}, -1},
		{"no code is no code", &history.RetryPolicy{MaxAttempts: 2, First: time.Second, NonRetryable: []string{""}}, 1, 1, plain, 1},
		{"total", policy, 1, 59.5, plain, -1},
		{"just within the total", policy, 1, 59, plain, 1},
		{"huge backoff", &history.RetryPolicy{MaxAttempts: 999, First: time.Second, Backoff: 1e300}, 99, 1, plain, float64(math.MaxInt64/4) / 1e9},
		{"backoff below one", &history.RetryPolicy{MaxAttempts: 9, First: time.Second, Backoff: 0.1}, 5, 1, plain, 1},
	}
	for _, test := range tests {
		a := &Activity{Attempt: test.attempt, First: at(0), Retry: test.policy}
		next, again := a.Failed(at(test.now), test.failure)
		if again != (test.wait >= 0) {
			t.Errorf("%s: again is %t", test.what, again)
		} else if got := next.Sub(at(test.now)).Seconds(); again && math.Abs(got-test.wait) > 1 {
			t.Errorf("%s: waits %v s, want %v", test.what, got, test.wait)
		} else if again && test.wait < 1000 && got != test.wait {
			t.Errorf("%s: waits %v s, want %v", test.what, got, test.wait)
		}
	}
}

func TestBriefIsShortAndValid(t *testing.T) {
	text := Brief(&history.Failure{Type: "T", Message: strings.Repeat("ü", 500)})
	if len(text) > 210 || !strings.HasSuffix(text, "ü…") {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}

func FuzzRecord(f *testing.F) {
	for _, row := range stored() {
		f.Add(row[1])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := DecodeRecord(data); err == nil {
			again, err := DecodeRecord(r.Encode())
			if err != nil || !reflect.DeepEqual(r, again) {
				t.Errorf("%+v reads back as %+v, %v", r, again, err)
			}
		}
		if a, err := DecodeActivity(data); err == nil {
			again, err := DecodeActivity(a.Encode())
			if err != nil || !sameActivity(a, again) {
				t.Errorf("%+v reads back as %+v, %v", a, again, err)
			}
		}
	})
}

// sameActivity compares by stored form: a NaN is not equal to itself.
func sameActivity(a, b *Activity) bool { return bytes.Equal(a.Encode(), b.Encode()) }

func FuzzKeys(f *testing.F) {
	for _, row := range stored() {
		f.Add(row[0])
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		_ = Describe(key, nil) // says so, and does not panic
		if timer, err := ParseTimer(key); err == nil {
			if again, err := ParseTimer(timer.Key()); err != nil || again != timer {
				t.Errorf("%+v reads back as %+v, %v", timer, again, err)
			}
		}
	})
}
