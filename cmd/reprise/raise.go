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
for it. An instance that has ended drops it, which is told on standard error.`,
		Args: idAndName(oneID, "an instance ID and the name of an event"),
	}
	t.flags(cmd)
	data := p.inputFlag(cmd, "data", "data of the event")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := data()
		if err != nil {
			return err
		}
		id := history.InstanceID(args[0])
		before, unknown := c.Status(ctx, id)
		if err := c.RaiseEvent(ctx, id, args[1], payload); err != nil {
			return err
		}
		if unknown == nil && before.Status.Ended() {
			p.note("%q was %v before that; an orchestration that has ended drops events", id, before.Status)
		}
		return nil
	})
	return cmd
}
