package partition

import (
	"fmt"
	"slices"
	"testing"

	"github.com/reprise-run/reprise/history"
)

// entrySize counts what an entry itself holds.
type entrySize struct {
	*mapStore
	bytes int
}

func (e *entrySize) Set(key, value []byte) {
	e.bytes += len(key) + len(value)
	e.mapStore.Set(key, value)
}

func (e *entrySize) Delete(key []byte) {
	e.bytes += len(key)
	e.mapStore.Delete(key)
}

// raised is an event with so much data.
func raised(name string, size int) *history.EventRaised {
	return &history.EventRaised{Name: name, Input: make(history.Payload, size)}
}

// goesOn lets an instance continue as new that has taken the first mail of its inbox, and
// returns the size of the entry and what is in the inbox then.
func goesOn(t *testing.T, s *mapStore, r *Record, carried []*history.EventRaised) (bytes int, inbox []*Mail) {
	t.Helper()
	stored, err := ReadInbox(s, anAddress)
	if err != nil {
		t.Fatal(err)
	}
	e := &entrySize{mapStore: s}
	fx, err := Apply(e, anAddress, r, Turn{Began: at(9), Mail: stored[:1], Rest: stored[1:], Episode: history.Episode{
		Decided: []history.Event{{ID: r.LastID + 1, Body: &history.ExecutionCompleted{Status: history.ContinuedAsNew}}}, Carried: carried,
	}})
	if err != nil || len(fx.Continued) != 1+len(carried) || len(fx.Dropped) > 0 {
		t.Fatalf("%d mails continued, %v dropped, %v", len(fx.Continued), fx.Dropped, err)
	}
	if inbox, err = ReadInbox(s, anAddress); err != nil {
		t.Fatal(err)
	}
	if v, err := Check(s, 7); err != nil || len(v) > 0 {
		t.Fatalf("%v %v", v, err)
	}
	return e.bytes, inbox
}

// names are those of mail: start, and the names of events.
func names(inbox []*Mail) (all []string) {
	for _, m := range inbox {
		switch b := m.Event.Body.(type) {
		case *history.ExecutionStarted:
			all = append(all, "start")
		case *history.EventRaised:
			all = append(all, b.Name)
		}
	}
	return all
}

// TestContinueLeavesStoredMail lets an instance continue as new, time and again, for which
// more mail is stored than an entry of the log can hold.
func TestContinueLeavesStoredMail(t *testing.T) {
	const many, size = 300, 200 << 10
	s := newMapStore()
	r := Create(&history.ExecutionStarted{Name: "n", ExecutionID: "x1"}, at(0))
	mail := []*Mail{{Event: event(&history.ExecutionStarted{Name: "n", ExecutionID: "x1"})}}
	var want []string
	for i := range many {
		want = append(want, fmt.Sprint(i))
		mail = append(mail, &Mail{Event: event(raised(want[i], size))})
	}
	if err := Keep(s, anAddress, r, mail); err != nil {
		t.Fatal(err)
	}
	for _, carried := range [][]*history.EventRaised{nil, {raised("a", 300<<10), raised("b", 1)}, {raised("c", 1)}} {
		bytes, inbox := goesOn(t, s, r, carried)
		if bytes > 256<<10 {
			t.Errorf("the entry has %d bytes", bytes)
		}
		first := []string{"start"}
		for _, e := range carried {
			first = append(first, e.Name)
		}
		if got := names(inbox[:len(first)]); !slices.Equal(got, first) {
			t.Errorf("%v goes first", got)
		}
		if got := names(inbox[len(inbox)-many:]); !slices.Equal(got, want) {
			t.Errorf("the mail is %v", got)
		}
	}
	if err := Remove(s, anAddress, r); err != nil {
		t.Fatal(err)
	}
	for k := range s.rows {
		t.Errorf("left over after removal: %q", k)
	}
}

// TestContinueBeforeOlderNumbers lets an instance continue as new whose mail was stored by
// an older writer, which left no room for what goes first.
func TestContinueBeforeOlderNumbers(t *testing.T) {
	s := newMapStore()
	r := Create(&history.ExecutionStarted{Name: "n", ExecutionID: "x1"}, at(0))
	for i, b := range []history.Body{&history.ExecutionStarted{Name: "n", ExecutionID: "x1"}, raised("one", 1), raised("two", 300<<10)} {
		setRow(s, anAddress.inboxKey(uint64(i)+1), history.EncodeEvents([]history.Event{event(b)}))
	}
	r.NextMail, r.Stored = 4, 3
	if err := Keep(s, anAddress, r, []*Mail{{Event: event(raised("three", 1))}}); err != nil {
		t.Fatal(err)
	}
	_, inbox := goesOn(t, s, r, []*history.EventRaised{raised("zero", 1)})
	if got := names(inbox); !slices.Equal(got, []string{"start", "zero", "one", "two", "three"}) {
		t.Errorf("the inbox has %v", got)
	}
	if _, inbox = goesOn(t, s, r, nil); !slices.Equal(names(inbox), []string{"start", "zero", "one", "two", "three"}) {
		t.Errorf("then the inbox has %v", names(inbox))
	}
}

// TestContinueCarriesMuch carries on as many events as an instance may have, and large ones.
func TestContinueCarriesMuch(t *testing.T) {
	for _, c := range []struct{ many, size int }{{1, history.MaxPayloadBytes}, {20, history.MaxPayloadBytes}, {10_000, 5 << 10}, {10_000, 100}} {
		s := newMapStore()
		r := Create(&history.ExecutionStarted{Name: "n", ExecutionID: "x1"}, at(0))
		if err := Keep(s, anAddress, r, []*Mail{{Event: event(&history.ExecutionStarted{Name: "n", ExecutionID: "x1"})}}); err != nil {
			t.Fatal(err)
		}
		var carried []*history.EventRaised
		for range c.many {
			carried = append(carried, raised("go", c.size))
		}
		told := CarriedInline(anAddress, history.Episode{Carried: carried})
		bytes, inbox := goesOn(t, s, r, carried)
		if bytes > 24<<20 || bytes > told+(1<<10) {
			t.Errorf("%d events of %d bytes: the entry has %d bytes, and %d were told", c.many, c.size, bytes, told)
		}
		for _, m := range inbox[1:] {
			if got := len(m.Event.Body.(*history.EventRaised).Input); got != c.size {
				t.Fatalf("%d events of %d bytes: one has %d", c.many, c.size, got)
			}
		}
		if len(inbox) != 1+c.many {
			t.Errorf("%d of %d events are there", len(inbox)-1, c.many)
		}
	}
}
