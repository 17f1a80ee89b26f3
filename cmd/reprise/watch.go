package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) watchCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "watch ID",
		Short: "Show how an instance is, line by line, until it ends",
		Long: `Print a line now and whenever the instance shows something else: its status, its
custom status, its tags, or what it waits for; with -o json, an object a line. Lines
for what is not the newest any more may be left out, the last one never. The exit code
is that of wait.`,
		Args: oneID,
	}
	t.flags(cmd)
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		for in, err := range c.Watch(ctx, history.InstanceID(args[0])) {
			if err != nil {
				return err
			}
			if err := p.printChange(in, t.output == "json"); err != nil {
				return err
			}
			if in.Status.Ended() {
				return c.Outcome(in)
			}
		}
		return nil
	})
	return cmd
}

func (p *program) printChange(in client.Instance, asJSON bool) error {
	if asJSON {
		return p.encoder().Encode(statusJSON(in))
	}
	_, err := fmt.Fprintln(p.stdout, changeLine(in))
	return err
}

// maxWaits is how much of what an instance waits for is told in one line.
const maxWaits = 3

// changeLine tells in one line what watchers want to know.
func changeLine(in client.Instance) string {
	parts := []string{shownTime(in.Updated), in.Status.String()}
	add := func(label, text string) { parts = append(parts, label+strings.Join(strings.Fields(text), " ")) }
	if in.CustomStatus != nil {
		add("", shown(in.CustomStatus))
	}
	for _, tag := range slices.Sorted(maps.Keys(in.Tags)) {
		add("", tag+"="+in.Tags[tag])
	}
	if !in.CancelRequested.IsZero() {
		add("", "asked to end"+because(in.CancelReason))
	}
	if n := len(in.Waiting); n > 0 {
		waits := strings.Join(in.Waiting[:min(n, maxWaits)], ", and for ")
		if more := n - maxWaits; more > 0 {
			waits += fmt.Sprintf(", and for %d more", more)
		}
		add("waits for ", waits)
	}
	if in.Output != nil {
		add("output ", shown(in.Output))
	}
	if in.Failure != nil {
		add("failure ", in.Failure.Message)
	}
	return strings.Join(parts, "  ")
}
