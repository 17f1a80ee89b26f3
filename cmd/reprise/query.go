package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) queryCommand() *cobra.Command {
	return p.askCommand("query", "Ask an orchestration, and print its answer",
		`Ask the orchestration ID the query NAME, and print the answer as JSON. It comes from
the newest committed state, and nothing is changed. An orchestration that has ended
answers, too.`, (*client.Client).AskQuery)
}

// ask brings the input to an orchestration.
type ask func(c *client.Client, ctx context.Context, id history.InstanceID, name string, in history.Payload) (history.Payload, *history.Failure, error)

// askCommand is a command "verb ID NAME" that prints what the orchestration answers.
func (p *program) askCommand(verb, short, long string, bring ask) *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use: verb + " ID NAME", Short: short, Long: long,
		Args: idAndName(oneID, "an instance ID and the name of what is asked"),
	}
	t.flags(cmd)
	input := p.inputFlag(cmd, "data", "input")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := input()
		if err != nil {
			return err
		}
		result, failure, err := bring(c, ctx, history.InstanceID(args[0]), args[1], payload)
		if err != nil {
			return stillWaiting(ctx, c, history.InstanceID(args[0]), err)
		}
		if failure != nil {
			return &answerError{fmt.Sprintf("%s %q of %q: %s", verb, args[1], args[0], failure.Message)}
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", asJSON(result))
		return err
	})
	return cmd
}

// answerError is the answer of an orchestration that refused.
type answerError struct{ text string }

func (e *answerError) Error() string { return e.text }
func (e *answerError) Unwrap() error { return client.ErrRefused }
