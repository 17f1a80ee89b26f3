package cluster

import (
	"context"
	"errors"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster/executor"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/partition/leader"
)

// registered is the code of a registry, run in this process.
type registered struct {
	*executor.Orchestrators
	activities *executor.Activities
	entities   *executor.Entities
	registry   *reprise.Registry
}

var _ code = (*registered)(nil)

func newRegistered(registry *reprise.Registry, cfg Config) *registered {
	options := executor.Options{Node: cfg.Name, Logger: cfg.Logger}
	return &registered{
		Orchestrators: executor.NewOrchestrators(registry, options),
		activities:    executor.NewActivities(registry, options),
		entities:      executor.NewEntities(registry, options),
		registry:      registry,
	}
}

func (r *registered) Orchestrations() []string { return r.registry.Orchestrators() }

func (r *registered) Activities() []string { return r.activities.Names() }

func (r *registered) Entities() []string { return r.entities.Names() }

// Operations implements [leader.EntityExecutor].
func (r *registered) Operations(ctx context.Context, req leader.EntityRequest) (history.Batch, error) {
	return r.entities.Operations(ctx, req)
}

// Close waits until no user code runs any more that cannot be stopped, or ctx is done.
func (r *registered) Close(ctx context.Context) error {
	return errors.Join(r.Orchestrators.Close(ctx), r.entities.Close(ctx))
}

func (r *registered) Run(ctx context.Context, task leader.ActivityTask) leader.ActivityResult {
	return r.activities.Run(ctx, task)
}
