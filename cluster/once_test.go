package cluster

import (
	"testing"

	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// A question to begin an attempt that comes again is refused where it is not known any
// more, or came for another process.
func TestUnspent(t *testing.T) {
	task := func(epoch, n, process uint64, once bool) leader.ActivityTask {
		return leader.ActivityTask{
			Attempt: leader.AttemptID{Fence: leader.Fence{Epoch: epoch, N: n}}, Process: process,
			Options: &history.TaskOptions{AtMostOnce: once},
		}
	}
	p := &workPartition{}
	for i, c := range []struct {
		task leader.ActivityTask
		want bool
	}{
		{task(1, 1, 7, true), true}, {task(1, 1, 7, true), false}, {task(1, 3, 7, true), true}, {task(1, 2, 7, true), false},
		{task(1, 2, 7, false), true}, {task(1, 2, 7, false), true},
		{task(1, 4, 8, true), false}, {task(2, 1, 7, true), true}, {task(1, 9, 7, true), false},
	} {
		if got := p.unspent(c.task, 7); got != c.want {
			t.Errorf("%d: %t", i, got)
		} else if got {
			p.spend(c.task)
		}
	}
}
