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
	var recursive bool
	cmd := &cobra.Command{
		Use:   "terminate ID",
		Short: "End an instance without running its code",
		Long:  "End an instance without running its code. One that has ended stays as it is. Its sub-orchestrations go on, unless --recursive is given.",
		Args:  oneID,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why; it becomes the output of the instance")
	cmd.Flags().BoolVar(&recursive, "recursive", false, "its sub-orchestrations too, and theirs")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		var payload history.Payload
		if cmd.Flags().Changed("reason") {
			text, err := json.Marshal(reason)
			if err != nil {
				return usage("--reason: %w", err)
			}
			payload = text
		}
		var opts []client.TerminateOption
		if recursive {
			opts = append(opts, client.Recursive())
		}
		return c.Terminate(ctx, history.InstanceID(args[0]), payload, opts...)
	})
	return cmd
}
