package leader

import (
	"fmt"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// waitsFor says in words what an instance waits for.
func (c *core) waitsFor(s partition.Reader, addr partition.Address, rec *partition.Record, in *Instance) error {
	if rec.Status.Ended() {
		return nil
	}
	w := waiting{state: s, addr: addr, words: in.Waiting}
	w.forCode(rec)
	if since, ok := c.slowRuns.Load(in.Ref); ok {
		w.add("an episode that has been running since %s", since.(time.Time).Format(time.RFC3339))
	}
	w.named("event", rec.Awaits)
	w.named("update", rec.Updates)
	if rec.StartArmed {
		w.add("its scheduled start at %s", rec.ScheduledStart.Format(time.RFC3339))
	}
	if rec.Ready {
		events := "stored events"
		if rec.Stored == 1 {
			events = "stored event"
		}
		w.add("its turn, with %d %s", rec.Stored, events)
	}
	waitsForRows(&w, "activities", rec.Activities, partition.ReadActivities, func(id int32, a *partition.Activity) string {
		return c.describeActivity(addr, id, a)
	})
	waitsForRows(&w, "sub-orchestrations", rec.Children, partition.ReadChildren, func(id int32, child partition.Child) string {
		return fmt.Sprintf("sub-orchestration %q (task %d), instance %q", child.Name, id, child.Instance)
	})
	waitsForRows(&w, "operations of entities", rec.Calls, partition.ReadCalls, func(id int32, call partition.Call) string {
		return fmt.Sprintf("operation %q of entity %s (task %d)", call.Operation, call.Target, id)
	})
	waitsForRows(&w, "critical sections", rec.Sections, partition.ReadSections, func(id int32, section *partition.Section) string {
		if section.Entered {
			return "" // it is in it
		}
		return fmt.Sprintf("entity %s, to enter a critical section (task %d); %d of its %d entities are locked",
			section.LockSet[section.Acquired], id, section.Acquired, len(section.LockSet))
	})
	waitsForRows(&w, "timers", rec.Timers, partition.ReadTimers, func(id int32, due time.Time) string {
		return fmt.Sprintf("timer %d, due %s", id, due.Format(time.RFC3339))
	})
	in.Waiting = w.words
	return w.err
}

// waiting gathers what an instance waits for.
type waiting struct {
	state partition.Reader
	addr  partition.Address
	words []string
	err   error
}

func (w *waiting) add(format string, args ...any) {
	w.words = append(w.words, fmt.Sprintf(format, args...))
}

// forCode says what keeps the instance parked.
func (w *waiting) forCode(rec *partition.Record) {
	switch {
	case rec.Parked.Why == partition.NotParked:
	case rec.Parked.Why == partition.Crowded:
		w.add("room: %s", rec.Parked.Reason)
	case rec.Parked.Why != partition.Unbound:
		w.add("fitting code: %s", rec.Parked.Reason)
	case rec.Version != "":
		w.add("a node that binds orchestrator %q in version %q", rec.Name, rec.Version)
	default:
		w.add("a node that binds orchestrator %q", rec.Name)
	}
}

// named adds what has a name, the first few one by one.
func (w *waiting) named(what string, names []string) {
	for i, name := range names {
		if i == waitingItems {
			w.add("%d more %ss", len(names)-i, what)
			return
		}
		w.add("%s %q", what, name)
	}
}

// waitsForRows adds the pending rows of a kind, the first few one by one; an empty text
// is none to wait for.
func waitsForRows[T any](w *waiting, kind string, count int64, read func(partition.Reader, partition.Address, func(int32, T) bool) error, tell func(int32, T) string) {
	if count == 0 || w.err != nil {
		return
	}
	shown := int64(0)
	w.err = read(w.state, w.addr, func(id int32, row T) bool {
		if text := tell(id, row); text != "" {
			w.add("%s", text)
		}
		shown++
		return shown < waitingItems
	})
	if more := count - shown; more > 0 && w.err == nil {
		w.add("%d more %s", more, kind)
	}
}

func (c *core) describeActivity(addr partition.Address, id int32, a *partition.Activity) string {
	text := fmt.Sprintf("activity %q (task %d), attempt %d", a.Name, id, a.Attempt)
	switch {
	case a.Outside != partition.AttemptFence{}:
		text += ", waits for completion by token " + history.AttemptToken{
			Hub: addr.Hub, Instance: addr.ID, Execution: a.Execution, TaskID: id, Epoch: a.Outside.Epoch, N: a.Outside.N,
		}.String()
		if !a.Deadline.IsZero() {
			text += " until " + a.Deadline.Format(time.RFC3339)
		}
	case !a.NextAttempt.IsZero():
		text += " from " + a.NextAttempt.Format(time.RFC3339)
	}
	if err := c.placeless(a); err != nil {
		text += ": " + err.Error()
	}
	if a.LastFailure != "" {
		text += ", after " + a.LastFailure
	}
	return text
}
