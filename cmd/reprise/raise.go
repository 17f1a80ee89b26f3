package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) raiseCommand() *cobra.Command {
	var t target
	var data string
	cmd := &cobra.Command{
		Use:   "raise ID EVENT",
		Short: "Raise an external event for an instance",
		Long: `Raise the external event EVENT for an instance. It is kept until the instance waits
for it. An instance that has ended drops it.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 || args[1] == "" {
				return fmt.Errorf("want an instance ID and the name of an event, got %q", args)
			}
			return oneID(nil, args[:1])
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&data, "data", "", "data of the event as `JSON`, @file, or - for standard input")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := readInput("data", data, cmd.Flags().Changed("data"), p.stdin)
		if err != nil {
			return err
		}
		return c.RaiseEvent(ctx, history.InstanceID(args[0]), args[1], payload)
	})
	return cmd
}
