package main

import (
	"context"
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) terminateCommand() *cobra.Command {
	var t target
	var reason string
	cmd := &cobra.Command{
		Use:   "terminate ID",
		Short: "End an instance without running its code",
		Long:  "End an instance without running its code. One that has ended stays as it is.",
		Args:  oneID,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it becomes the output of the instance")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		var payload history.Payload
		if cmd.Flags().Changed("reason") {
			text, err := json.Marshal(reason)
			if err != nil {
				return usage("--reason: %w", err)
			}
			payload = text
		}
		return c.Terminate(ctx, history.InstanceID(args[0]), payload)
	})
	return cmd
}
