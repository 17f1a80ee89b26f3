package leader

import (
	"container/heap"
	"sort"
	"time"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// timers holds the timers that are due first. All timers of the partition whose
// key is up to through are in it, those that were fired apart; if all is set,
// simply all.
type timers struct {
	heap    timerHeap
	through string
	all     bool
	limit   int
	// fired is the greatest key that was fired. through never falls below it: the row
	// of a timer stays until what follows is written, and would be read again.
	fired string
	// enough is how many are held before some are given up; 0: four times limit.
	enough int
}

type armed struct {
	key   string
	timer partition.Timer
}

type timerHeap []armed

func (h timerHeap) Len() int           { return len(h) }
func (h timerHeap) Less(i, j int) bool { return h[i].key < h[j].key }
func (h timerHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *timerHeap) Push(x any)        { *h = append(*h, x.(armed)) }
func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = armed{}
	*h = old[:len(old)-1]
	return last
}

// add takes a timer that was armed, unless it is due later than those in memory.
func (t *timers) add(timer partition.Timer) {
	key := string(timer.Key())
	if !t.all && key > t.through {
		return
	}
	heap.Push(&t.heap, armed{key, timer})
	if len(t.heap) > max(4*t.limit, t.enough) {
		t.giveUp()
	}
}

// giveUp leaves those that are due last to the state, but none that is due before one
// that was fired.
func (t *timers) giveUp() {
	sort.Sort(t.heap) // a sorted slice is a heap
	keep := t.limit
	for keep < len(t.heap) && t.heap[keep].key <= t.fired {
		keep++
	}
	if keep > 2*t.limit {
		t.enough = 2 * keep // they are due, and soon gone
	} else {
		t.enough = 0
	}
	if keep == len(t.heap) {
		return
	}
	clear(t.heap[keep:])
	t.heap = t.heap[:keep]
	t.all, t.through = false, max(t.heap[keep-1].key, t.fired)
}

// next takes the timer that is due first.
func (t *timers) next() armed {
	next := heap.Pop(&t.heap).(armed)
	t.fired = max(t.fired, next.key)
	return next
}

// fill reads the next timers from the state when none is left in memory.
func (t *timers) fill(r partition.Reader, id uint32) error {
	if t.all || len(t.heap) > 0 {
		return nil
	}
	from, to := partition.TableRange(id, partition.TableTimers)
	if t.through != "" {
		from = append([]byte(t.through), 0)
	}
	var failed error
	err := r.Scan(from, to, func(key, _ []byte) bool {
		timer, err := partition.ParseTimer(key)
		if err != nil {
			failed = err
			return false
		}
		t.heap = append(t.heap, armed{string(key), timer}) // in order: a heap
		return len(t.heap) < t.limit
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	if len(t.heap) < t.limit {
		t.all = true
	} else {
		t.through = t.heap[len(t.heap)-1].key
	}
	return nil
}

// fireDue turns the timers that are due into mail.
func (c *core) fireDue() error {
	now := c.now
	if c.cfg.Faults.localTimers() {
		now = c.cfg.Clock()
	}
	for len(c.runnable) < c.cfg.Limits.Runnable && !c.crowded() {
		if err := c.timers.fill(&c.view, c.cfg.Partition); err != nil {
			return err
		}
		if len(c.timers.heap) == 0 || c.timers.heap[0].timer.Due.After(now) {
			return nil
		}
		next := c.timers.next()
		value, err := c.view.Get([]byte(next.key))
		if err != nil {
			return err
		}
		if value == nil {
			continue // cancelled
		}
		if m := c.cfg.Meter; m != nil {
			m.Fired(max(now.Sub(next.timer.Due), 0))
		}
		if err := c.fire(next.timer); err != nil {
			return err
		}
		if err := c.closeFull(); err != nil {
			return err
		}
	}
	return nil
}

// fire acts on a timer. Its row stays until the turn, the inbox or the result
// that follows is written.
func (c *core) fire(t partition.Timer) error {
	l, err := c.load(InstanceRef{t.Address.Hub, t.Address.ID})
	if err != nil {
		return err
	}
	switch t.Kind {
	case partition.UserTimer:
		m := &mail{}
		m.Event = history.Event{ID: history.NoID, Time: c.now, Body: &history.TimerFired{TimerID: t.ID, FireAt: t.Due}}
		return c.post(l, m)
	case partition.RetryTimer:
		return c.fireRetry(l, t)
	case partition.OutsideTimer, partition.StartByTimer, partition.CloseByTimer:
		return c.fireLimit(l, t)
	case partition.StartTimer:
		if l.rec != nil && l.rec.StartArmed {
			c.enqueue(l)
		}
	case partition.SignalTimer:
		return c.fireSignal(l, t)
	}
	return nil
}

// fireRetry begins the next attempt of an activity.
func (c *core) fireRetry(l *live, t partition.Timer) error {
	if a := l.attempts[t.ID]; a != nil {
		if a.state == backingOff && a.row.NextAttempt.Equal(t.Due) {
			c.offerCommitted(a)
		}
		return nil
	}
	if !c.surveyed {
		return nil // found among the pending activities, if no node runs it
	}
	value, err := c.view.Get(l.addr.ActivityKey(t.ID))
	if err != nil || value == nil {
		return err
	}
	row, err := partition.DecodeActivity(value)
	if err != nil {
		return err
	}
	return c.recoverTask(l.addr, t.ID, row)
}

// untilNextTimer returns how long it takes to the next timer by the partition's
// clock; false where there is none, or no room for what it would wake.
func (c *core) untilNextTimer() (time.Duration, bool) {
	if len(c.timers.heap) == 0 || len(c.runnable) >= c.cfg.Limits.Runnable {
		return 0, false
	}
	return c.timers.heap[0].timer.Due.Sub(c.now), true
}
