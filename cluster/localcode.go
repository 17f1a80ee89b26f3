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
	options := executor.Options{Node: cfg.Name, Logger: cfg.Logger, KeptExecutions: cfg.KeptExecutions}
	return &registered{
		Orchestrators: executor.NewOrchestrators(registry, options),
		activities:    executor.NewActivities(registry, options),
		entities:      executor.NewEntities(registry, options),
		registry:      registry,
	}
}

func (r *registered) Orchestrations() []string { return r.registry.Orchestrators() }

func (r *registered) Versions() []string { return r.registry.Versions() }

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

// ownCode is what a node's own code tells of itself.
type ownCode interface {
	Kept() (executions int, bytes int64)
	CountStuck() int
	Abandoned() int
}

var _ ownCode = (*registered)(nil)

// Abandoned returns how many functions of activities run on after their attempt.
func (r *registered) Abandoned() int { return r.activities.Abandoned() }

// kept returns how many executions are kept between episodes.
func (n *Node) kept() (executions int, bytes int64) {
	if c, ok := n.code.(ownCode); ok {
		return c.Kept()
	}
	return 0, 0
}

// stuck returns how many episodes do not yield.
func (n *Node) stuck() int {
	if c, ok := n.code.(ownCode); ok {
		return c.CountStuck()
	}
	return 0
}

// abandoned returns how many functions of activities run on after their attempt.
func (n *Node) abandoned() int {
	if c, ok := n.code.(ownCode); ok {
		return c.Abandoned()
	}
	return 0
}

func (r *registered) Limits(activity string) reprise.ActivityLimits {
	return r.registry.Limits(activity)
}

func (r *registered) Run(ctx context.Context, task leader.ActivityTask, beat func(history.Payload)) leader.ActivityResult {
	return r.activities.Run(ctx, task, beat)
}
