package partition

import (
	"cmp"

	"github.com/reprise-run/reprise/history"
)

// continueAsNew replaces an execution by the next one of its instance, in the same
// entry: its history and all that it had pending go, and what starts the next one is
// stored in the inbox, with the events that nobody has taken, in their order. It
// changes the record to that of the next execution.
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
	all := fx.Continued[:len(fx.Continued):len(fx.Continued)]
	fx.Dropped = fx.Dropped[:0]
	for i, m := range t.Rest {
		kept := outlives(m.Event.Body)
		switch {
		case m.Number != 0: // it is stored anew, behind what is older
			if err := consume(s, a, r, m); err != nil {
				return err
			}
			m.Number, m.Pieces = 0, 0
		case m.Sent != 0:
			Taken(s, a.Partition, m)
		}
		if kept {
			all = append(all, m)
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
	if err := clearPending(s, a, r); err != nil {
		return err
	}
	if err := deleteHistory(s, a, r.Execution); err != nil {
		return err
	}
	next := Create(fx.Continued[0].Event.Body.(*history.ExecutionStarted), t.Began)
	next.Status, next.Created, next.NextMail = history.Running, r.Created, r.NextMail
	next.First, next.Ready, next.CustomStatus = r.StartedAs(), r.Ready, r.CustomStatus
	*r = *next
	return Keep(s, a, r, all)
}

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
