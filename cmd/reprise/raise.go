package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) raiseCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "raise ID EVENT",
		Short: "Raise an external event for an instance",
		Long: `Raise the external event EVENT for an instance. It is kept until the instance waits
for it. An instance that has ended drops it.`,
		Args: idAndName(oneID, "an instance ID and the name of an event"),
	}
	t.flags(cmd)
	data := p.inputFlag(cmd, "data", "data of the event")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := data()
		if err != nil {
			return err
		}
		return c.RaiseEvent(ctx, history.InstanceID(args[0]), args[1], payload)
	})
	return cmd
}
