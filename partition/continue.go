package partition

import (
	"cmp"
	"slices"

	"github.com/reprise-run/reprise/history"
)

// continueAsNew replaces an execution by the next one of its instance, in the same
// entry: its history and all that it had pending go, and what starts the next one is
// stored in the inbox, with the events that nobody has taken, in their order. Mail that is
// stored already stays where it is, however much it is. It changes the record to that of
// the next execution.
func continueAsNew(s Store, a Address, r *Record, t Turn, end *history.ExecutionCompleted, fx *Effects) error {
	fx.Continued = []*Mail{{Event: arrival(t.Began, &history.ExecutionStarted{
		Name: r.Name, Version: cmp.Or(end.NextVersion, r.Version), Input: end.Result, ExecutionID: history.NextExecution(r.Execution),
		Parent: r.Parent, Trace: r.Trace, Tags: r.Tags, Deadline: r.Deadline,
	})}}
	if t.Episode.Cancel != nil {
		fx.Continued = append(fx.Continued, &Mail{Event: arrival(t.Began, t.Episode.Cancel)})
	}
	for _, carried := range t.Episode.Carried {
		fx.Continued = append(fx.Continued, &Mail{Event: arrival(t.Began, carried)})
	}
	for _, carried := range t.Episode.CarriedUpdates {
		fx.Continued = append(fx.Continued, &Mail{Event: arrival(t.Began, carried)})
	}
	var rest []*Mail
	anew := writesAnew(t.Rest)
	fx.Dropped = fx.Dropped[:0]
	for i, m := range t.Rest {
		kept := outlives(m.Event.Body)
		switch {
		case m.Number != 0 && kept && !anew: // it stays where it is
		case m.Number != 0:
			if err := consume(s, a, r, m); err != nil {
				return err
			}
			m.Number, m.Pieces = 0, 0
		case m.Sent != 0:
			Taken(s, a.Partition, m)
		}
		if kept {
			rest = append(rest, m)
		} else {
			fx.Dropped = append(fx.Dropped, i)
		}
	}
	if err := leaveChildren(s, a, r, nil, fx); err != nil {
		return err
	}
	if err := leaveEntities(s, a, r, fx); err != nil {
		return err
	}
	stored := r.Stored // stays
	r.Stored = 0
	if err := clearPending(s, a, r); err != nil {
		return err
	}
	if err := deleteHistory(s, a, r.Execution); err != nil {
		return err
	}
	next := Create(fx.Continued[0].Event.Body.(*history.ExecutionStarted), t.Began)
	next.Status, next.Created, next.NextMail, next.Before = history.Running, r.Created, r.NextMail, r.Before
	next.First, next.Ready, next.CustomStatus, next.Stored = r.StartedAs(), r.Ready, r.CustomStatus, stored
	*r = *next
	goFirst(s, a, r, fx.Continued, stored > 0, inlineOf(t.Episode))
	for _, m := range rest {
		if m.Number != 0 && m.Event.Body.Kind() == history.KindExecutionCancelRequested {
			arrive(s, a, r, m)
		}
	}
	return Keep(s, a, r, rest)
}

// goFirst stores what an execution begins with, before the mail that is stored, if there
// is any.
func goFirst(s Store, a Address, r *Record, first []*Mail, stored bool, inline int) {
	if stored {
		r.Before += int64(len(first))
	}
	for i, m := range first {
		number := middleMail - uint64(r.Before) + uint64(i)
		if !stored {
			number = r.takeNumber()
		}
		keep(s, a, r, m, number, inline)
	}
}

// writesAnew reports whether mail is stored under numbers of older writers, before which
// there is no room: it is written again behind what goes first.
func writesAnew(rest []*Mail) bool {
	return slices.ContainsFunc(rest, func(m *Mail) bool { return m.Number != 0 && m.Number < middleMail/2 })
}

// What is carried on from one execution to the next stands whole in the entry where it is
// little, and otherwise nearly all of it goes ahead.
const (
	littleCarried = 4 << 20 // in all
	briefCarried  = 1 << 10 // of each event or update
)

// inlineOf returns how many bytes of each event and update that an episode carries on stand
// in the entry itself.
func inlineOf(ep history.Episode) int {
	sum := 0
	for _, e := range ep.Carried {
		sum += len(e.Input)
	}
	for _, u := range ep.CarriedUpdates {
		sum += len(u.Input)
	}
	if sum > littleCarried {
		return briefCarried
	}
	return rowBytes
}

// CarriedInline returns how many bytes the entry itself has of what an episode carries on
// to the next execution of the instance.
func CarriedInline(a Address, ep history.Episode) int {
	each, sum := inlineOf(ep), 0
	row := 2*len(a.inboxKey(0)) + rowOverhead
	for _, e := range ep.Carried {
		sum += min(len(e.Input), each) + len(e.Name) + e.Trace.Bytes() + row
	}
	for _, u := range ep.CarriedUpdates {
		sum += min(len(u.Input), each) + len(u.Name) + row
	}
	return sum
}

// rowOverhead is what a row takes beside its key, that of its marker and its payload.
const rowOverhead = 64

// outlives reports whether mail is for the instance, whichever its execution.
func outlives(b history.Body) bool {
	switch b.(type) {
	case *history.EventRaised, *history.UpdateRequested, *history.ExecutionCancelRequested:
		return true
	}
	return false
}

// StartedAs returns the ID of the execution with which the instance was started.
func (r *Record) StartedAs() history.ExecutionID {
	if r.First != "" {
		return r.First
	}
	return r.Execution
}

// Is reports whether mail that names an execution is meant for the instance as it is
// now: others know it by the execution with which it was started, or by the present
// one.
func (r *Record) Is(e history.ExecutionID) bool {
	return e == r.Execution || e == r.First && e != ""
}
