package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) waitCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "Wait for the end of an instance; print its output as JSON",
		Args:  oneID,
	}
	t.flags(cmd)
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		return p.printOutcome(ctx, c, history.InstanceID(args[0]))
	})
	return cmd
}
