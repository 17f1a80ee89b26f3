package server

import (
	"fmt"

	"github.com/reprise-run/reprise/api/durabletask"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// reusePolicy reads both forms of the policy. In today's form the statuses are
// those that may be replaced, and the check's wording is relied upon by an SDK's
// tests. In the old Go form, known by its action, they are those that the action
// is for. Nil is the default.
func reusePolicy(p *durabletask.OrchestrationIdReusePolicy) (leader.ReusePolicy, error) {
	if p == nil {
		return nil, nil
	}
	action := leader.Replace
	switch p.GetAction() {
	case durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_ERROR:
	case durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_IGNORE:
		action = leader.KeepExisting
	case durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_TERMINATE:
	default:
		return nil, fmt.Errorf("%w: unknown reuse action %d", leader.ErrInvalid, p.GetAction())
	}
	policy := leader.ReusePolicy{}
	for _, s := range p.GetReplaceableStatus() {
		if s < 0 || s > durabletask.OrchestrationStatus_ORCHESTRATION_STATUS_SUSPENDED {
			return nil, fmt.Errorf("%w: unknown orchestration status %d in the reuse policy", leader.ErrInvalid, s)
		}
		policy[history.Status(s)] = action
	}
	if p.GetAction() == durabletask.CreateOrchestrationAction_CREATE_ORCHESTRATION_ACTION_ERROR {
		_, terminated := policy[history.Terminated]
		for _, live := range []history.Status{history.Running, history.Pending, history.Suspended} {
			if _, ok := policy[live]; ok && !terminated {
				return nil, &reuseError{live}
			}
		}
	}
	return policy, nil
}

// reuseError has a text of its own, because clients look at how it begins.
type reuseError struct{ live history.Status }

func (e *reuseError) Error() string {
	return fmt.Sprintf("Invalid reusable statuses: cannot exclude 'Terminated' while also allowing reuse of running instances (%s is in the list)", e.live)
}

func (e *reuseError) Unwrap() error { return leader.ErrInvalid }
