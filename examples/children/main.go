package main

import (
	"context"
	"fmt"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/local"
	"github.com/reprise-run/reprise/examples/internal/outside"
	"github.com/reprise-run/reprise/history"
)

type (
	Release struct {
		Version string
		Regions []string // the first one goes ahead
	}
	Target struct{ Region, Version string }
	Report struct {
		Installed []string
		Failed    map[string]string // by region
	}
)

var (
	Rollout = reprise.NewOrchestration[Release, Report]("children.rollout")
	Deploy  = reprise.NewOrchestration[Target, reprise.None]("children.deploy")
	Drain   = reprise.NewActivity[Target, reprise.None]("children.drain", reprise.Retry(5, time.Second))
	Install = reprise.NewActivity[Target, reprise.None]("children.install", reprise.Retry(5, time.Second))
	Open    = reprise.NewActivity[Target, reprise.None]("children.open", reprise.Retry(5, time.Second))

	ErrNoNetwork = reprise.NewError("children.no_network", "there is no network")
)

// deployID is the ID of the orchestration that brings a release to a region.
func deployID(rollout history.InstanceID, region string) history.InstanceID {
	return rollout + ":" + history.InstanceID(region)
}

func rollout(o *reprise.Orchestration, r Release) (Report, error) {
	start := func(region string) reprise.Future[reprise.None] {
		return Deploy.Start(o, Target{region, r.Version}, reprise.ChildID(deployID(o.InstanceID(), region)))
	}
	if _, err := start(r.Regions[0]).Await(o); err != nil {
		return Report{}, fmt.Errorf("%s, which goes ahead: %w", r.Regions[0], err)
	}
	report := Report{Installed: r.Regions[:1], Failed: map[string]string{}}
	rest := r.Regions[1:]
	var deploys []reprise.Future[reprise.None]
	for _, region := range rest {
		deploys = append(deploys, start(region))
	}
	for i, deploy := range deploys { // in the order of the regions; they run all at once
		if _, err := deploy.Await(o); err != nil {
			report.Failed[rest[i]] = err.Error()
			continue
		}
		report.Installed = append(report.Installed, rest[i])
	}
	return report, nil
}

func deploy(o *reprise.Orchestration, t Target) error {
	for _, step := range []reprise.Activity[Target, reprise.None]{Drain, Install, Open} {
		if _, err := step.Call(o, t); err != nil {
			return fmt.Errorf("%s: %w", step.Name(), err)
		}
	}
	return nil
}

type regions struct{ world outside.World }

// step returns an activity that does one thing in a region.
func (r regions) step(what string) func(context.Context, Target) (reprise.None, error) {
	return func(ctx context.Context, t Target) (reprise.None, error) {
		if t.Region == "mars" {
			return reprise.None{}, reprise.NonRetryable(ErrNoNetwork)
		}
		_, err := r.world.Post(ctx, "/"+t.Region+"/"+what, t.Version)
		return reprise.None{}, err
	}
}

func bind(r *reprise.Registry, world outside.World) {
	reprise.Bind(r, Rollout, rollout)
	reprise.Bind(r, Deploy, reprise.NoOutput(deploy))
	reprise.Bind(r, Drain, regions{world}.step("drain"))
	reprise.Bind(r, Install, regions{world}.step("install"))
	reprise.Bind(r, Open, regions{world}.step("open"))
}

func main() {
	local.Run(bind, func(ctx context.Context, c *client.Client) error {
		release := Release{"1.2", []string{"faroe", "europe", "asia", "mars"}}
		h, err := client.Run(ctx, c, Rollout, release, client.WithID("rollout-1.2"))
		if err != nil {
			return err
		}
		report, err := h.Result(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("installed in %v, failed in %v\n", report.Installed, report.Failed)
		asia, err := client.Attach(c, Deploy, deployID(h.ID(), "asia")).Status(ctx)
		if err != nil {
			return err
		}
		fmt.Printf("%s has a history of its own, of %d events\n", asia.ID, asia.HistoryEvents)
		return nil
	})
}
