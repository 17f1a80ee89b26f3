package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) historyCommand() *cobra.Command {
	var t target
	var execution string
	cmd := &cobra.Command{
		Use:   "history ID",
		Short: "Show the history of an instance",
		Args:  oneID,
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&execution, "execution", "", "`ID` of the execution; the current one if not given")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		events, any := []eventJSON{}, false
		for e, err := range c.History(ctx, history.InstanceID(args[0]), history.ExecutionID(execution)) {
			any = true
			switch {
			case errors.Is(err, client.ErrNotFound) && execution != "":
				return fmt.Errorf("%w, or it has no history of execution %q", err, execution)
			case err != nil:
				return err
			case t.output == "json":
				events = append(events, newEventJSON(e))
			default:
				if _, err := fmt.Fprintf(p.stdout, "%s  %s\n", shownTime(e.Time), history.Describe(e)); err != nil {
					return err
				}
			}
		}
		if t.output == "json" {
			return p.printJSON(events)
		}
		if !any {
			p.note("%q has no events yet; \"reprise status\" says what it waits for", args[0])
		}
		return nil
	})
	return cmd
}

// eventJSON is an event for programs: its type is the name of the body, and
// fields that a type does not have are left out.
type eventJSON struct {
	ID     int32          `json:"id"`
	Time   time.Time      `json:"time"`
	Type   string         `json:"type"`
	Fields map[string]any `json:"fields,omitempty"`
}

func newEventJSON(e history.Event) eventJSON {
	name := strings.TrimPrefix(strings.TrimPrefix(fmt.Sprintf("%T", e.Body), "*"), "history.")
	return eventJSON{ID: e.ID, Time: e.Time, Type: name, Fields: eventFields(e.Body)}
}
