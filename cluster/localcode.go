package cluster

import (
	"context"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster/executor"
	"github.com/reprise-run/reprise/partition/leader"
)

// registered is the code of a registry, run in this process.
type registered struct {
	*executor.Orchestrators
	activities *executor.Activities
	registry   *reprise.Registry
}

var _ code = (*registered)(nil)

func newRegistered(registry *reprise.Registry, cfg Config) *registered {
	options := executor.Options{Node: cfg.Name, Logger: cfg.Logger}
	return &registered{
		Orchestrators: executor.NewOrchestrators(registry, options),
		activities:    executor.NewActivities(registry, options),
		registry:      registry,
	}
}

func (r *registered) Orchestrations() []string { return r.registry.Orchestrators() }

func (r *registered) Versions() []string { return r.registry.Versions() }

func (r *registered) Activities() []string { return r.activities.Names() }

func (r *registered) Run(ctx context.Context, task leader.ActivityTask) leader.ActivityResult {
	return r.activities.Run(ctx, task)
}
