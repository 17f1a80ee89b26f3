package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) completeCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "complete TOKEN",
		Short: "Complete an activity from outside",
		Long: `Give an activity that waits for it its result. TOKEN names the attempt: its function
got it and handed it out. A token of an activity that has an outcome, or a newer
attempt, is refused.`,
		Args: oneToken,
	}
	t.flags(cmd)
	result := p.inputFlag(cmd, "data", "the result")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := result()
		if err != nil {
			return err
		}
		return c.CompleteActivity(ctx, args[0], payload)
	})
	return cmd
}

func (p *program) failCommand() *cobra.Command {
	var t target
	var failure history.Failure
	cmd := &cobra.Command{
		Use:   "fail TOKEN --message M",
		Short: "Fail an activity from outside",
		Long: `Fail the attempt of an activity that TOKEN names. Its retry policy says whether there
is another attempt, unless --final is given.`,
		Args: oneToken,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&failure.Message, "message", "", "`text` of the error")
	cmd.Flags().StringVar(&failure.Code, "code", "", "`code` of the error, by which programs know it")
	cmd.Flags().BoolVar(&failure.NonRetriable, "final", false, "make no further attempt")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		if failure.Message == "" {
			return usage("fail needs --message")
		}
		failure.Type = "error"
		return c.FailActivity(ctx, args[0], &failure)
	})
	return cmd
}

// oneToken wants the token of an attempt.
func oneToken(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the token of an activity's attempt, got %d arguments", len(args))
	}
	_, err := history.ParseAttemptToken(args[0])
	return err
}
