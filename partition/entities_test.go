package partition

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/reprise-run/reprise/history"
)

var aHolder = &history.ParentInstance{Name: "shop.pay", Instance: "order-1", Execution: "x1", TaskID: 1}

// withEntities returns a store with an instance that waits for an operation and is in
// a critical section, and its entity: locked, with a state, a scheduled operation and
// stored mail.
func withEntities(t *testing.T) (*mapStore, *Record, *Record) {
	t.Helper()
	s := newMapStore()
	r := Create(&history.ExecutionStarted{Name: "shop.pay", ExecutionID: "x1"}, at(0))
	apply(t, s, r, Turn{Began: at(0), Mail: []*Mail{{Event: event(&history.ExecutionStarted{Name: "shop.pay", ExecutionID: "x1"})}}, Episode: history.Episode{
		Decided: []history.Event{
			{ID: 0, Body: &history.EntityOperationCalled{Target: anEntity.ID, Operation: "balance", Section: history.NoID}},
			{ID: 1, Body: &history.EntityLockRequested{LockSet: []history.InstanceID{anEntity.ID, "@account@b"}}},
		}}})
	section, err := ReadSection(s, anAddress, 1)
	if err != nil {
		t.Fatal(err)
	}
	next := Acquire(s, anAddress, r, 1, section)
	if next.To != "@account@b" {
		t.Errorf("the second entity asked is %s", next.To)
	}
	if err := Keep(s, anAddress, r, []*Mail{{Event: event(&history.EntityLockGranted{TaskID: 1})}}); err != nil {
		t.Fatal(err)
	}

	e := CreateEntity(anEntity, "life-1", nil, at(0))
	signal := func() *Mail {
		return &Mail{Event: event(&history.EntityOperationSignaled{Operation: "deposit", ScheduledTime: at(50)})}
	}
	if _, gone, err := ApplyEntity(s, anEntity, e, EntityTurn{Began: at(1), Mail: []*Mail{signal()}, Batch: history.Batch{
		Results: []history.OperationResult{{}}, State: history.Payload("5"),
	}}); err != nil || gone {
		t.Fatal(gone, err)
	}
	if _, err := LockEntity(s, anEntity, e, &Mail{Event: event(&history.EntityLockRequested{Holder: aHolder})}, at(2)); err != nil {
		t.Fatal(err)
	}
	if _, err := ScheduleSignal(s, anEntity, e, signal()); err != nil {
		t.Fatal(err)
	}
	if err := Keep(s, anEntity, e, []*Mail{signal()}); err != nil {
		t.Fatal(err)
	}
	return s, r, e
}

// TestCheckFindsEntities breaks a sound state in many ways; each must be found.
func TestCheckFindsEntities(t *testing.T) {
	sound, r, e := withEntities(t)
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
	entity := func(fn func(r *Record, e *Entity)) func(*mapStore) {
		return func(s *mapStore) {
			c, d := *e, *e.Entity
			c.Entity = &d
			fn(&c, &d)
			s.Set(anEntity.RecordKey(), c.Encode())
		}
	}
	tests := map[string]func(s *mapStore){
		"lost call":          func(s *mapStore) { s.Delete(anAddress.callKey(0)) },
		"call of nothing":    func(s *mapStore) { s.Set(anAddress.callKey(9), Call{}.Encode()) },
		"wrong calls":        change(func(r *Record) { r.Calls++ }),
		"call after its end": change(func(r *Record) { r.Status = history.Completed }),
		"lost section":       func(s *mapStore) { s.Delete(anAddress.sectionKey(1)) },
		"section of nothing": func(s *mapStore) {
			s.Set(anAddress.sectionKey(9), (&Section{LockSet: []history.InstanceID{"@a@b"}}).Encode())
		},
		"wrong sections": change(func(r *Record) { r.Sections-- }),
		"section not entered": func(s *mapStore) {
			s.Set(anAddress.sectionKey(1), (&Section{LockSet: []history.InstanceID{"@a@b"}}).Encode())
		},
		"section entered without a grant": func(s *mapStore) {
			c := *r
			mail, _ := ReadInbox(s, anAddress)
			deleteRow(s, anAddress.inboxKey(mail[0].Number), mail[0].Pieces)
			c.Stored--
			c.Ready = false
			s.Delete(anAddress.readyKey())
			s.Set(anAddress.RecordKey(), c.Encode())
		},
		"not in the list":       func(s *mapStore) { s.Delete(anEntity.entityKey()) },
		"in the list alone":     func(s *mapStore) { s.Set(NewAddress(7, "default", "@a@b").entityKey(), readyValue) },
		"lost state":            func(s *mapStore) { deleteRow(s, anEntity.stateKey(e.Entity.State), 1) },
		"old state":             func(s *mapStore) { setRow(s, anEntity.stateKey(77), []byte("1")) },
		"lost signal":           func(s *mapStore) { deleteRow(s, anEntity.signalKey(0), 1) },
		"lost signal timer":     func(s *mapStore) { s.Delete(Timer{at(50), anEntity, SignalTimer, 0}.Key()) },
		"signal timer alone":    func(s *mapStore) { s.Set(Timer{at(50), anEntity, SignalTimer, 9}.Key(), timerValue) },
		"wrong signals":         entity(func(_ *Record, e *Entity) { e.Scheduled++ }),
		"no entity":             entity(func(r *Record, _ *Entity) { r.Entity = nil }),
		"wrong pieces of state": entity(func(_ *Record, e *Entity) { e.Pieces++ }),
		"an entity with nothing": func(s *mapStore) {
			a := NewAddress(7, "default", "@a@b")
			c := CreateEntity(a, "life", nil, at(0))
			c.Entity.Listed = true
			s.Set(a.entityKey(), readyValue)
			s.Set(a.RecordKey(), c.Encode())
		},
		"rows of an entity at an instance": func(s *mapStore) { setRow(s, anAddress.stateKey(1), []byte("1")) },
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

// Whatever ends the holder, each entity that it asked is told, once, and no row of its
// calls and sections is left.
func TestEndReleases(t *testing.T) {
	ends := map[string]*history.ExecutionCompleted{
		"completed": {Status: history.Completed}, "failed": {Status: history.Failed},
		"terminated": {Status: history.Terminated}, "continued": {Status: history.ContinuedAsNew},
	}
	for name, end := range ends {
		s, r, _ := withEntities(t)
		mail, err := ReadInbox(s, anAddress)
		if err != nil {
			t.Fatal(err)
		}
		fx := apply(t, s, r, Turn{Began: at(9), Rest: mail, Episode: history.Episode{Decided: []history.Event{{ID: 2, Body: end}}}})
		var told []history.InstanceID
		for _, l := range fx.Sent {
			if b, ok := l.Event.Body.(*history.EntityUnlockSent); ok && b.TaskID == 1 && b.Holder.Execution == "x1" && b.Holder.Instance == "order-1" {
				told = append(told, l.To)
			}
		}
		if want := []history.InstanceID{"@account@a", "@account@b"}; !slices.Equal(told, want) {
			t.Errorf("%s: told %v, want %v", name, told, want)
		}
		if r.Calls != 0 || r.Sections != 0 {
			t.Errorf("%s: record %s", name, r)
		}
		if v, err := Check(s, 7); err != nil || len(v) > 0 {
			t.Errorf("%s: %v %v", name, v, err)
		}
	}
}

// An entity goes with its last row, in one entry; a life that follows in the same
// entry uses no key of it again.
func TestEntityGoes(t *testing.T) {
	s, _, e := withEntities(t)
	mail, err := ReadInbox(s, anEntity)
	if err != nil {
		t.Fatal(err)
	}
	due, err := ReadSignal(s, anEntity, 0, at(50))
	if err != nil || due == nil {
		t.Fatal(due, err)
	}
	if gone, err := UnlockEntity(s, anEntity, e, &Mail{Event: event(&history.EntityUnlockSent{TaskID: 1, Holder: aHolder})}, at(60)); gone || err != nil {
		t.Error(gone, err)
	}
	none := history.OperationResult{}
	fx, gone, err := ApplyEntity(s, anEntity, e, EntityTurn{Began: at(61), Mail: append(mail, due), Batch: history.Batch{Results: []history.OperationResult{none, none}}, Before: history.Payload("5")})
	if err != nil || !gone || len(fx.Sent) > 0 {
		t.Errorf("gone %t, effects %+v, %v", gone, fx, err)
	}
	for k := range s.rows {
		if a, _, err := ParseAddress([]byte(k)); err == nil && a == anEntity || Table(k[tableHeader-1]) == TableEntities {
			t.Errorf("left over: %s", Describe([]byte(k), s.rows[k]))
		}
	}
	next := CreateEntity(anEntity, "life-2", e, at(62))
	if next.NextMail != e.NextMail || next.Entity.LastState != e.Entity.LastState || next.Entity.NextSignal != e.Entity.NextSignal {
		t.Errorf("after %+v %+v comes %+v %+v", e, e.Entity, next, next.Entity)
	}
}

func TestValidateSections(t *testing.T) {
	const a, b = "@account@a", "@account@b"
	lock := func(id int32, set ...history.InstanceID) history.Event {
		return history.Event{ID: id, Body: &history.EntityLockRequested{LockSet: set}}
	}
	call := func(id, section int32, target history.InstanceID) history.Event {
		return history.Event{ID: id, Body: &history.EntityOperationCalled{Target: target, Operation: "get", Section: section}}
	}
	unlock := func(id, section int32) history.Event {
		return history.Event{ID: id, Body: &history.EntityUnlockSent{TaskID: section}}
	}
	s := newMapStore()
	s.Set(anAddress.sectionKey(1), (&Section{LockSet: []history.InstanceID{a, b}, Acquired: 1}).Encode())
	granted := []*Mail{{Event: event(&history.EntityLockGranted{TaskID: 1})}}
	tests := []struct {
		what    string
		mail    []*Mail
		decided []history.Event
		fails   string
	}{
		{"not entered", nil, []history.Event{call(2, 1, a)}, "does not hold it"},
		{"entered by its mail", granted, []history.Event{call(2, 1, a), call(3, history.NoID, "@other@c")}, ""},
		{"not of the lock set", granted, []history.Event{call(2, 1, "@account@c")}, "does not hold it"},
		{"no such section", granted, []history.Event{call(2, 0, a)}, "does not hold it"},
		{"left", granted, []history.Event{unlock(2, 1), call(3, 1, a)}, "does not hold it"},
		{"nested", granted, []history.Event{lock(2, a)}, "inside another one"},
		{"one after the other", granted, []history.Event{unlock(2, 1), lock(3, a)}, ""},
		{"the next one is not entered", granted, []history.Event{unlock(2, 1), lock(3, a), call(4, 3, a)}, "does not hold it"},
		{"two at once", granted, []history.Event{unlock(2, 1), lock(3, a), lock(4, b)}, "inside another one"},
		{"not sorted", granted, []history.Event{unlock(2, 1), lock(3, b, a)}, "not sorted"},
		{"twice the same", granted, []history.Event{unlock(2, 1), lock(3, a, a)}, "not sorted"},
		{"no entity", granted, []history.Event{unlock(2, 1), lock(3, "order-2")}, "not of the form"},
		{"of nothing", granted, []history.Event{unlock(2, 1), lock(3)}, "over 0 entities"},
	}
	for _, test := range tests {
		r := &Record{Execution: "x1", LastID: 1, Sections: 1}
		ep := history.Episode{Decided: test.decided}
		err := Validate(r, ep)
		if err == nil {
			err = ValidateSections(s, anAddress, r, test.mail, ep)
		}
		switch {
		case test.fails == "" && err != nil:
			t.Errorf("%s: %v", test.what, err)
		case test.fails != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.fails)):
			t.Errorf("%s: %v, want %q", test.what, err, test.fails)
		}
	}
}

func TestValidateBatch(t *testing.T) {
	r := &Record{LastID: 3}
	one := []history.OperationResult{{}}
	tests := map[string]history.Batch{
		"no result":        {},
		"too many":         {Results: append(one, one...)},
		"an activity":      {Results: one, Decided: []history.Event{{ID: 4, Body: &history.TaskScheduled{Name: "a"}}}},
		"a child":          {Results: one, Decided: []history.Event{{ID: 4, Body: &history.SubOrchestrationInstanceCreated{Instance: "i", Name: "n"}}}},
		"a call":           {Results: one, Decided: []history.Event{{ID: 4, Body: &history.EntityOperationCalled{Target: "@a@b", Operation: "o"}}}},
		"used ID":          {Results: one, Decided: []history.Event{{ID: 3, Body: &history.EntityOperationSignaled{Target: "@a@b", Operation: "o"}}}},
		"no target":        {Results: one, Decided: []history.Event{{ID: 4, Body: &history.EntityOperationSignaled{Target: "b", Operation: "o"}}}},
		"no operation":     {Results: one, Decided: []history.Event{{ID: 4, Body: &history.EntityOperationSignaled{Target: "@a@b"}}}},
		"event to nowhere": {Results: one, Decided: []history.Event{{ID: 4, Body: &history.EventSent{Instance: "@a@b", Name: "n"}}}},
	}
	for name, b := range tests {
		if err := ValidateBatch(r, 1, b); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fine := history.Batch{Results: one, Decided: []history.Event{
		{ID: 4, Body: &history.EntityOperationSignaled{Target: "@a@b", Operation: "o"}},
		{ID: 5, Body: &history.SubOrchestrationInstanceCreated{Instance: "i", Name: "n", Detached: true}},
	}}
	if err := ValidateBatch(r, 2, fine); err != nil {
		t.Error(err)
	}
}

// The IDs of an entity that lives for ever do not run out: a new life goes on.
func TestLongLife(t *testing.T) {
	s := newMapStore()
	e := CreateEntity(anEntity, "life-1", nil, at(0))
	e.LastID = lastLifeID - 1
	fx, _, err := ApplyEntity(s, anEntity, e, EntityTurn{Began: at(1), Mail: []*Mail{{Event: event(&history.EntityOperationSignaled{Operation: "o"})}}, Batch: history.Batch{
		Results: []history.OperationResult{{}}, State: history.Payload("1"),
		Decided: []history.Event{{ID: lastLifeID, Body: &history.EntityOperationSignaled{Target: "@a@b", Operation: "o"}}},
	}})
	if err != nil || len(fx.Sent) != 1 || fx.Sent[0].FromExecution != "life-1" {
		t.Errorf("%+v %v", fx, err)
	}
	if e.Execution != history.NextExecution("life-1") || e.LastID != history.NoID || e.Entity.State == 0 {
		t.Errorf("record %+v", e)
	}
}
