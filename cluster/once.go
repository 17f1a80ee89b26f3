package cluster

import "github.com/reprise-run/reprise/partition/leader"

// An attempt of an activity that is made at most once is begun at most once, also if
// the question to begin it comes twice: the second time after its result was recorded
// and forgotten, or to another process of the node. A leader gives such attempts to a
// node in the order of their fences, one message at a time.

// unspent reports whether an attempt that is not here was never begun here. Call with
// the worker's mu held.
func (p *workPartition) unspent(task leader.ActivityTask, process uint64) bool {
	if task.Options == nil || !task.Options.AtMostOnce {
		return true
	}
	fence := task.Attempt.Fence
	return task.Process == process && (fence.Epoch > p.once.Epoch || fence.Epoch == p.once.Epoch && fence.N > p.once.N)
}

// spend notes that an attempt begins. Call with the worker's mu held.
func (p *workPartition) spend(task leader.ActivityTask) {
	if task.Options != nil && task.Options.AtMostOnce {
		p.once = task.Attempt.Fence
	}
}
