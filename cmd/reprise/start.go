package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) startCommand() *cobra.Command {
	var t target
	var id, version, reuse string
	var wait bool
	var within time.Duration
	cmd := &cobra.Command{
		Use:   "start NAME",
		Short: "Start an orchestration; print its ID or, with --wait, its output",
		Long: `Start the orchestration NAME and print the ID of its instance. With --wait, wait
for the end and print the output as JSON, and nothing else.

An ID may be used again once its instance has ended: it is replaced. --reuse says
otherwise. With keep-in an instance that is there is taken instead, live or ended, so
that a start may be repeated; refuse-any refuses (exit code 5) also where it has ended;
replace-any terminates a live one first. keep-in:STATUS,... and replace-in:STATUS,...
do it for these statuses and refuse the others.

A name that no node knows is accepted, with a note on standard error: the instance
waits until a node that has it joins.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("want the name of one orchestration, got %d arguments", len(args))
			}
			return nil
		},
	}
	t.flags(cmd)
	f := cmd.Flags()
	f.StringVar(&id, "id", "", "`ID` of the instance; a random one if not given")
	f.StringVar(&reuse, "reuse", "", reuseUsage)
	input := p.inputFlag(cmd, "input", "input")
	f.StringVar(&version, "version", "", "version that the orchestrator is told")
	f.DurationVar(&within, "cancel-after", 0, "cancel the orchestration if it has not ended so long after its start")
	f.BoolVar(&wait, "wait", false, "wait for the end and print the output")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := input()
		if err != nil {
			return err
		}
		if args[0] == "" {
			return usage("the name of the orchestration is empty")
		}
		options := []client.StartOption{client.WithVersion(version)}
		if f.Changed("cancel-after") {
			if within <= 0 {
				return usage("--cancel-after is %v; it must be above 0", within)
			}
			options = append(options, client.WithTimeout(within))
		}
		if f.Changed("id") {
			if err := history.ValidateOrchestrationID(history.InstanceID(id)); err != nil {
				return err
			}
			options = append(options, client.WithID(history.InstanceID(id)))
		}
		if f.Changed("reuse") {
			policy, err := parseReuse(reuse)
			if err != nil {
				return err
			}
			options = append(options, client.WithReuse(policy))
		}
		started, err := c.Start(ctx, args[0], payload, options...)
		if err != nil {
			return howToReuse(err)
		}
		p.noteUnbound(ctx, c, args[0])
		if !wait {
			_, err := fmt.Fprintln(p.stdout, started)
			return err
		}
		return p.printOutcome(ctx, c, started)
	})
	return cmd
}

// noteUnbound says so where no node binds the orchestration that was started, since that
// may be meant and may be a slip of the pen.
func (p *program) noteUnbound(ctx context.Context, c *client.Client, name string) {
	d, err := c.Cluster(ctx)
	if err != nil {
		return // the orchestration is started, and that is what was asked
	}
	for _, n := range d.Nodes {
		if slices.ContainsFunc(n.Orchestrations, func(bound string) bool {
			bound, _, _ = strings.Cut(bound, "@") // a version of it
			return bound == name
		}) {
			return
		}
	}
	p.note("no node says that it binds orchestration %q, which waits for one that does; \"reprise cluster\" shows what nodes bind", name)
}

// printOutcome waits for the end and prints the output; an end other than
// completion is an error.
func (p *program) printOutcome(ctx context.Context, c *client.Client, id history.InstanceID) error {
	in, err := c.Wait(ctx, id)
	if err != nil {
		return stillWaiting(ctx, c, id, err)
	}
	if err := c.Outcome(in); err != nil {
		return err
	}
	_, err = fmt.Fprintf(p.stdout, "%s\n", asJSON(in.Output))
	return err
}

// lastLook is how long the last question may take where time is up.
const lastLook = 2 * time.Second

// stillWaiting adds to the error of a wait that ran out of time what the instance waits
// for, if that can be learned.
func stillWaiting(ctx context.Context, c *client.Client, id history.InstanceID, err error) error {
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, client.ErrUnavailable) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastLook)
	defer cancel()
	in, statusErr := c.Status(ctx, id)
	if statusErr != nil || len(in.Waiting) == 0 {
		return err // which is what happened
	}
	return fmt.Errorf("%w; it waits for %s", err, strings.Join(in.Waiting, ", and for "))
}
