package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) updateCommand() *cobra.Command {
	return p.askCommand("update", "Ask an orchestration to do something, and print its reply",
		`Ask the orchestration ID to do the update NAME, wait until it replies, and print the
reply as JSON. It is done once. When --timeout passes first, the orchestration goes on
with it.`,
		func(c *client.Client, ctx context.Context, id history.InstanceID, name string, in history.Payload) (history.Payload, *history.Failure, error) {
			reply, err := c.AskUpdate(ctx, id, name, in)
			return reply.Result, reply.Failure, err
		})
}
