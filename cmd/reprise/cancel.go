package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) cancelCommand() *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Ask the orchestrator of an instance to end",
		Long: `Ask the orchestrator of an instance to end. It sees that where it waits, may clean
up, and then ends as Canceled; so do the sub-orchestrations that it awaits. The command
does not wait for it. An instance that has not begun ends at once; one that has ended
stays as it is. See terminate for an end without the instance's code.`,
		Args: oneID,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; the orchestrator and its activities are told")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		return client.Cancel(ctx, c, history.InstanceID(args[0]), client.Reason(reason))
	})
	return cmd
}
