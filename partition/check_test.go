package partition

import (
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// running returns a store with one instance that waits for an activity, a retry,
// a timer, and has stored mail.
func running(t *testing.T) (*mapStore, *Record) {
	t.Helper()
	s := newMapStore()
	started := &history.ExecutionStarted{Name: "order.fulfil", ExecutionID: "x1"}
	r := Create(started, at(0))
	apply(t, s, r, Turn{Began: at(0), Mail: []*Mail{{Event: event(started)}}, Episode: history.Episode{
		CustomStatus: history.Payload(`"busy"`),
		Decided: []history.Event{
			{ID: 0, Body: &history.TaskScheduled{Name: "a", Retry: policy}},
			{ID: 1, Body: &history.TaskScheduled{Name: "b"}},
			{ID: 2, Body: &history.TimerCreated{FireAt: at(10)}},
			{ID: 3, Body: &history.TaskScheduled{Name: "c"}},
		}}})
	activity, err := DecodeActivity(s.rows[string(anAddress.ActivityKey(0))])
	if err != nil {
		t.Fatal(err)
	}
	Retry(s, anAddress, 0, activity, at(5), &history.Failure{Message: "no"}, 1, 1)
	if err := Keep(s, anAddress, r, []*Mail{{Event: event(&history.TaskCompleted{TaskID: 3})}}); err != nil {
		t.Fatal(err)
	}
	return s, r
}

func apply(t *testing.T, s Store, r *Record, turn Turn) Effects {
	t.Helper()
	if err := Validate(r, turn.Episode); err != nil {
		t.Fatal(err)
	}
	fx, err := Apply(s, anAddress, r, turn)
	if err != nil {
		t.Fatal(err)
	}
	return fx
}

// TestCheckFinds breaks a sound state in many ways; each must be found.
func TestCheckFinds(t *testing.T) {
	sound, r := running(t)
	if v, err := Check(sound, 7); err != nil || len(v) > 0 {
		t.Fatalf("the sound state: %v %v", v, err)
	}
	change := func(fn func(r *Record)) func(*mapStore) {
		return func(s *mapStore) {
			c := *r
			fn(&c)
			s.Set(anAddress.RecordKey(), c.Encode())
		}
	}
	tests := map[string]func(s *mapStore){
		"no record":              func(s *mapStore) { s.Delete(anAddress.RecordKey()) },
		"lost activity":          func(s *mapStore) { s.Delete(anAddress.ActivityKey(1)) },
		"lost timer":             func(s *mapStore) { s.Delete(Timer{at(10), anAddress, UserTimer, 2}.Key()) },
		"lost timer of instance": func(s *mapStore) { s.Delete(anAddress.timerOfKey(2)) },
		"lost retry timer":       func(s *mapStore) { s.Delete(Timer{at(5), anAddress, RetryTimer, 0}.Key()) },
		"lost mail":              func(s *mapStore) { s.Delete(pieceKey(anAddress.inboxKey(middleMail+1), 0)) },
		"lost episode":           func(s *mapStore) { s.Delete(pieceKey(anAddress.historyKey("x1", 0), 0)) },
		"not ready":              func(s *mapStore) { s.Delete(anAddress.readyKey()) },
		"timer of nothing":       func(s *mapStore) { s.Set(Timer{at(9), anAddress, UserTimer, 2}.Key(), timerValue) },
		"parked by row only":     func(s *mapStore) { s.Set(anAddress.parkedKey(Parked{Why: Unbound, Name: "x"}), readyValue) },
		"parked by record only":  change(func(r *Record) { r.Parked = Parked{Why: Unbound, Name: "x"} }),
		"ended with rows":        change(func(r *Record) { r.Status = history.Completed }),
		"wrong events":           change(func(r *Record) { r.Events++ }),
		"wrong episodes":         change(func(r *Record) { r.Episodes++ }),
		"wrong last ID":          change(func(r *Record) { r.LastID++ }),
		"pending with history":   change(func(r *Record) { r.Status = history.Pending }),
		"other execution":        change(func(r *Record) { r.Execution = "x2" }),
		"mail twice": func(s *mapStore) {
			c := *r
			if err := Keep(s, anAddress, &c, []*Mail{{Event: event(&history.TaskCompleted{TaskID: 3})}}); err != nil {
				t.Fatal(err)
			}
		},
		"activity after its end": func(s *mapStore) {
			c := *r
			c.Activities++
			s.Set(anAddress.ActivityKey(3), (&Activity{Execution: "x1", Name: "c"}).Encode())
			s.Set(anAddress.RecordKey(), c.Encode())
		},
		"timer fired early": func(s *mapStore) {
			c := *r
			apply(t, s, &c, Turn{Began: at(1), Mail: []*Mail{{Event: event(&history.TimerFired{TimerID: 2, FireAt: at(10)})}}})
		},
		"time runs backward": func(s *mapStore) {
			c := *r
			apply(t, s, &c, Turn{Began: at(-1)})
		},
		"progress of nothing": func(s *mapStore) { s.Set(anAddress.progressKey(9), []byte{1, 0, 0x91, 0xc0}) },
		"an outside timer of nothing": func(s *mapStore) {
			s.Set(Timer{at(9), anAddress, OutsideTimer, 1}.Key(), timerValue)
		},
		"history of an execution before": func(s *mapStore) {
			setRow(s, anAddress.historyKey("x0", 0), nil)
		},
		"mail of nobody": func(s *mapStore) {
			setRow(s, NewAddress(7, "default", "nobody").inboxKey(middleMail+1), nil)
		},
		"a custom status that is gone": change(func(r *Record) { r.CustomStatus = 0 }),
		"an orphan piece of a reply": func(s *mapStore) {
			s.Set(pieceKey(anAddress.replyKey(at(0), "r1"), 1), pieceValue(2, nil))
		},
		"an orphan piece": func(s *mapStore) { s.Set(pieceKey(anAddress.historyKey("x1", 0), 1), pieceValue(1, nil)) },
		"waits for nothing": func(s *mapStore) {
			a := NewAddress(7, "default", "idle")
			c := &Record{Execution: "x9", Status: history.Running, LastID: history.NoID, NextMail: 1}
			s.Set(a.RecordKey(), c.Encode())
		},
	}
	for name, breakIt := range tests {
		s := sound.clone()
		breakIt(s)
		v, err := Check(s, 7)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if len(v) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestEndLeavesNothing ends an instance with everything pending.
func TestEndLeavesNothing(t *testing.T) {
	s, r := running(t)
	mail, err := ReadInbox(s, anAddress)
	if err != nil {
		t.Fatal(err)
	}
	fx := apply(t, s, r, Turn{Began: at(20), ByServer: true, Rest: mail, Episode: history.Episode{Decided: []history.Event{
		{ID: 4, Body: &history.ExecutionCompleted{Status: history.Terminated}},
	}}})
	if !fx.Ended || len(fx.Dropped) != 1 {
		t.Errorf("effects: %+v", fx)
	}
	if v, err := Check(s, 7); err != nil || len(v) > 0 {
		t.Errorf("%v %v", v, err)
	}
	for k := range s.rows {
		switch table := Table(k[tableHeader-1]); table {
		case TableInstances, TableHistory, TableCustomStatus:
		default:
			t.Errorf("left over: %s", Describe([]byte(k), s.rows[k]))
		}
	}
	if err := Remove(s, anAddress, r); err != nil {
		t.Fatal(err)
	}
	for k := range s.rows {
		t.Errorf("left over after removal: %s", Describe([]byte(k), s.rows[k]))
	}
}

// TestCancelDropsMail cancels an activity and a timer whose ends have arrived
// since the episode began.
func TestCancelDropsMail(t *testing.T) {
	s, r := running(t)
	stored, err := ReadInbox(s, anAddress)
	if err != nil {
		t.Fatal(err)
	}
	rest := append(stored, // the end of activity 3
		&Mail{Event: event(&history.TaskFailed{TaskID: 1})},
		&Mail{Event: event(&history.TaskCompleted{TaskID: 0})},
		&Mail{Event: event(&history.TimerFired{TimerID: 2, FireAt: at(10)})})
	fx := apply(t, s, r, Turn{Began: at(11), Rest: rest, Episode: history.Episode{Decided: []history.Event{
		{ID: 4, Body: &history.TaskCanceled{TaskID: 3}},
		{ID: 5, Body: &history.TaskCanceled{TaskID: 1}},
		{ID: 6, Body: &history.TimerCanceled{TimerID: 2}},
		{ID: 7, Body: &history.TaskScheduled{Name: "d"}},
		{ID: 8, Body: &history.TaskCanceled{TaskID: 7}},
	}}})
	if got := len(fx.Dropped); got != 3 {
		t.Errorf("dropped %v", fx.Dropped)
	}
	if len(fx.Tasks) != 0 {
		t.Errorf("an activity that was cancelled at once is to run: %+v", fx.Tasks)
	}
	if v, err := Check(s, 7); err != nil || len(v) > 0 {
		t.Errorf("%v %v", v, err)
	}
	if r.Activities != 1 || r.Timers != 0 || r.Stored != 0 || r.Ready {
		t.Errorf("record: %s", r)
	}
}

func TestLongRows(t *testing.T) {
	for _, size := range []int{rowBytes, rowBytes + 1, 3*pieceBytes - 40, 16 << 20} {
		s := newMapStore()
		started := &history.ExecutionStarted{Name: "n", ExecutionID: "x1", Input: make(history.Payload, size)}
		r := Create(started, at(0))
		m := &Mail{Event: event(started)}
		if err := Keep(s, anAddress, r, []*Mail{m}); err != nil {
			t.Fatal(err)
		}
		half := s.clone()
		if v, err := Check(s, 7); err != nil || len(v) > 0 {
			t.Fatalf("%d: %v %v", size, v, err)
		}
		mail, err := ReadInbox(s, anAddress)
		if err != nil || len(mail) != 1 {
			t.Fatalf("%d: %v %v", size, mail, err)
		}
		apply(t, s, r, Turn{Began: at(1), Mail: mail, Episode: history.Episode{Decided: []history.Event{{ID: 0, Body: &history.TimerCreated{FireAt: at(9)}}}}})
		if v, err := Check(s, 7); err != nil || len(v) > 0 {
			t.Fatalf("%d: %v %v", size, v, err)
		}
		events, err := ReadEpisode(s, anAddress, "x1", 0)
		if err != nil || len(events[1].Body.(*history.ExecutionStarted).Input) != size {
			t.Fatalf("%d: %v", size, err)
		}
		// The pieces of a row whose entry never came are swept.
		for k, v := range half.rows {
			key := []byte(k)
			if first := len(v) > 4 && string(key[len(key)-2:]) == "\x00\x00"; Table(key[4]) != TableInbox || first {
				delete(half.rows, k)
			}
		}
		if len(half.rows) > 0 {
			half.Ahead(unfinishedKey(7, anAddress.inboxKey(middleMail+1)), []byte{1, 0})
		}
		if err := Sweep(half, 7); err != nil || len(half.rows) > 0 {
			t.Errorf("%d: %d rows are left after the sweep, %v", size, len(half.rows), err)
		}
	}
}

func TestValidate(t *testing.T) {
	r := &Record{LastID: 3}
	tests := map[string]history.Episode{
		"no ID":         {Decided: []history.Event{{ID: history.NoID, Body: &history.TimerCreated{}}}},
		"used ID":       {Decided: []history.Event{{ID: 3, Body: &history.TimerCreated{}}}},
		"no decision":   {Decided: []history.Event{{ID: 4, Body: &history.TaskCompleted{}}}},
		"not at end":    {Decided: []history.Event{{ID: 4, Body: &history.ExecutionCompleted{Status: history.Failed}}, {ID: 5, Body: &history.TimerCreated{}}}},
		"no end at all": {Decided: []history.Event{{ID: 4, Body: &history.ExecutionCompleted{Status: history.Suspended}}}},
		"long patch":    {Decided: []history.Event{{ID: 4, Body: &history.PatchApplied{Patch: strings.Repeat("p", history.MaxPatchNameBytes+1)}}}},
	}
	for name, ep := range tests {
		if err := Validate(r, ep); err == nil || !strings.Contains(err.Error(), "not supported") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnswersAreForgottenByAge(t *testing.T) {
	s := newMapStore()
	for i := range 100 {
		SetAnswer(s, anAddress, "r", at(float64(i)), Answer{Execution: "x"})
	}
	if err := ForgetAnswers(s, 7, at(90)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		a, err := ReadAnswer(s, anAddress, "r", at(float64(i)))
		if err != nil || (a != nil) != (i >= 90) {
			t.Errorf("answer %d s old: %v %v", i, a, err)
		}
	}
	if !strings.Contains(s.take(), "- range of answers") {
		t.Error("many rows were deleted one by one")
	}
}
