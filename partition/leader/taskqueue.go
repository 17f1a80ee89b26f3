package leader

import (
	"bytes"
	"slices"
	"strings"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// taskQueue holds the attempts of one activity name, and of the same demands on the
// node, that wait for room: the highest priority first, within a priority the fairness
// keys in turn, and for each key the oldest first.
type taskQueue struct {
	key    string
	bands  []*band // the highest priority first; none is empty
	length int
	// coming counts attempts that were read from the state and wait for a commit;
	// noting those whose note is on its way to be committed.
	coming  int
	noting  int
	blocked bool   // the dispatcher had no room; until CapacityFreed
	served  uint64 // when it was its turn last, among the queues
	// left is the key of the first pending row of the queue that was left in the
	// state because the queue was full; nil: none. filling is set while the queue
	// is filled from there.
	left    []byte
	filling bool
}

// band holds what waits with one priority.
type band struct {
	priority int32
	turns    []*turn // the next first; none is empty
	by       map[string]*turn
}

// turn holds what waits with one fairness key.
type turn struct {
	key     string
	waiting []*attempt
}

// queueKey tells apart what waits for different things.
func queueKey(row *partition.Activity) string {
	if row.Options == nil || len(row.Options.Nodes) == 0 {
		return row.Name
	}
	return row.Name + "\x00" + history.DescribeLabels(row.Options.Nodes)
}

func rank(row *partition.Activity) (priority int32, key string) {
	if row.Options == nil {
		return 0, ""
	}
	return row.Options.Priority, row.Options.FairnessKey
}

func (c *core) queueOf(row *partition.Activity) *taskQueue {
	key := queueKey(row)
	q := c.queues[key]
	if q == nil {
		q = &taskQueue{key: key}
		c.queues[key] = q
	}
	return q
}

// leave notes a pending row that is left in the state.
func (q *taskQueue) leave(key []byte) {
	if q.left == nil || bytes.Compare(key, q.left) < 0 {
		q.left = key
	}
}

// leaveInState forgets an attempt for which the queue has no place; it is read again.
func (c *core) leaveInState(q *taskQueue, a *attempt) {
	q.leave(a.live.addr.ActivityKey(a.id.TaskID))
	c.detach(a)
}

// push lets an attempt wait behind those of its key.
func (q *taskQueue) push(a *attempt) {
	priority, key := rank(a.row)
	i, found := slices.BinarySearchFunc(q.bands, priority, func(b *band, p int32) int {
		switch { // descending
		case b.priority > p:
			return -1
		case b.priority < p:
			return 1
		}
		return 0
	})
	if !found {
		q.bands = slices.Insert(q.bands, i, &band{priority: priority, by: make(map[string]*turn)})
	}
	b := q.bands[i]
	t := b.by[key]
	if t == nil {
		t = &turn{key: key}
		b.by[key] = t
		b.turns = append(b.turns, t)
	}
	t.waiting = append(t.waiting, a)
	q.length++
}

// front returns whose turn it is; the queue is not empty.
func (q *taskQueue) front() *attempt { return q.bands[0].turns[0].waiting[0] }

// pop removes the front. The next key has its turn.
func (q *taskQueue) pop() {
	b := q.bands[0]
	t := b.turns[0]
	t.waiting[0] = nil
	t.waiting = t.waiting[1:]
	b.turns[0] = nil
	b.turns = b.turns[1:]
	if len(t.waiting) > 0 {
		b.turns = append(b.turns, t)
	} else {
		delete(b.by, t.key)
	}
	if len(b.turns) == 0 {
		q.bands = q.bands[1:]
	}
	q.length--
}

// makeRoom leaves the newest attempt of the lowest priority in the state, if that is
// below the priority of a. It reports whether there is room now.
func (c *core) makeRoom(q *taskQueue, a *attempt) bool {
	priority, _ := rank(a.row)
	b := q.bands[len(q.bands)-1]
	if b.priority >= priority {
		return false
	}
	t := b.turns[len(b.turns)-1]
	last := len(t.waiting) - 1
	given := t.waiting[last]
	t.waiting[last] = nil
	t.waiting = t.waiting[:last]
	if last == 0 {
		delete(b.by, t.key)
		b.turns = b.turns[:len(b.turns)-1]
	}
	if len(b.turns) == 0 {
		q.bands = q.bands[:len(q.bands)-1]
	}
	q.length--
	c.queuedTasks--
	if given.state == queued {
		c.leaveInState(q, given)
	}
	return true
}

// pump gives out what waits for room: of all queues that with the highest priority
// first, and among equals the one that has waited longest for its turn.
func (c *core) pump() {
	var waiting []*taskQueue
	for key, q := range c.queues {
		q.blocked = false
		switch {
		case q.length > 0:
			waiting = append(waiting, q)
		case q.coming == 0 && q.noting == 0 && q.left == nil && !q.filling && strings.Contains(key, "\x00"):
			delete(c.queues, key) // there may be many sets of labels
		default:
			c.refill(q)
		}
	}
	for len(waiting) > 0 {
		i := nextQueue(waiting)
		q := waiting[i]
		if a := q.front(); a.state == queued && !c.give(a) {
			q.blocked = true
			c.refill(q)
			waiting = slices.Delete(waiting, i, i+1)
			continue
		}
		q.pop()
		c.queuedTasks--
		c.serves++
		q.served = c.serves
		if q.length == 0 {
			c.refill(q)
			waiting = slices.Delete(waiting, i, i+1)
		}
	}
}

// nextQueue returns the place of the queue whose turn it is.
func nextQueue(waiting []*taskQueue) int {
	best := 0
	for i, q := range waiting {
		b := waiting[best]
		p, r := q.bands[0].priority, b.bands[0].priority
		if p > r || p == r && (q.served < b.served || q.served == b.served && q.key < b.key) {
			best = i
		}
	}
	return best
}
