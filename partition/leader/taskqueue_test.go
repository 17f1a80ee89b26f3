package leader

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition"
)

// The queue gives what a naive one gives: of the highest priority, the key that was
// served least recently (or came first), its oldest.
func TestTaskQueueOrder(t *testing.T) {
	type waiting struct {
		priority int32
		key      string
		number   int
	}
	random := rand.New(rand.NewPCG(1, 2))
	q := &taskQueue{}
	var naive []waiting // in order of arrival
	turns := map[int32][]string{}
	for n := range 5000 {
		if random.IntN(9) < 5 {
			w := waiting{int32(random.IntN(4)) - 1, fmt.Sprint(random.IntN(5)), n}
			if !slices.Contains(turns[w.priority], w.key) {
				turns[w.priority] = append(turns[w.priority], w.key)
			}
			naive = append(naive, w)
			q.push(&attempt{id: AttemptID{TaskID: int32(n)}, row: &partition.Activity{Options: &history.TaskOptions{Priority: w.priority, FairnessKey: w.key}}})
		} else if len(naive) > 0 {
			best := slices.MaxFunc(naive, func(a, b waiting) int { return int(a.priority - b.priority) }).priority
			key := turns[best][0]
			i := slices.IndexFunc(naive, func(w waiting) bool { return w.priority == best && w.key == key })
			want := naive[i]
			naive = slices.Delete(naive, i, i+1)
			turns[best] = turns[best][1:]
			if slices.ContainsFunc(naive, func(w waiting) bool { return w.priority == best && w.key == key }) {
				turns[best] = append(turns[best], key)
			}
			if got := q.front().id.TaskID; int(got) != want.number {
				t.Fatalf("%d is next, want %+v", got, want)
			}
			q.pop()
		}
		if q.length != len(naive) {
			t.Fatalf("%d wait, want %d", q.length, len(naive))
		}
	}
}
