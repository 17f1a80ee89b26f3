package executor

import (
	"context"
	"fmt"

	"github.com/reprise-run/reprise/engine"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// locals runs the local activities of an episode, as [Activities] runs others: on a
// goroutine of its own, so that a panic, a Goexit and a timeout are outcomes.
func (e *Orchestrators) locals(ctx context.Context, req leader.EpisodeRequest) engine.Locals {
	return func(task engine.LocalTask) (history.Payload, *history.Failure, error) {
		if _, ok := e.registry.Activity(task.Name); !ok {
			return nil, nil, fmt.Errorf("%w: orchestrator %q calls %q, which is not bound beside it", leader.ErrNoLocal, req.Name, task.Name)
		}
		key := req.Key
		result := e.activities.Run(ctx, leader.ActivityTask{
			Attempt: leader.AttemptID{
				Partition: key.Partition, Hub: key.Hub, Instance: key.Instance, Execution: key.Execution,
				TaskID: task.ID, Fence: req.Fence,
			},
			Number: int(task.Attempt), Name: task.Name, Input: task.Input,
			Key: leader.IdempotencyKey(key, task.ID), Timeout: task.Timeout, Trace: task.Trace,
		}, func(history.Payload) {}) // its progress would be recorded with its outcome
		if ctx.Err() != nil {
			return nil, nil, ctx.Err() // nobody takes the episode
		}
		if result.Pending {
			return nil, &history.Failure{Type: history.FailurePending, NonRetriable: true,
				Message: fmt.Sprintf("the local activity %q left its outcome to somebody outside; only one that is not local can", task.Name)}, nil
		}
		return result.Result, result.Failure, nil
	}
}
