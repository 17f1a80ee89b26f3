package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

func (p *program) signalCommand() *cobra.Command {
	var t target
	var at string
	cmd := &cobra.Command{
		Use:   "signal ENTITY OPERATION",
		Short: "Ask an entity for an operation",
		Long: `Ask the entity for an operation, and do not wait for it: it is committed when this
returns, and runs exactly once. An entity is named by its ID, @NAME@KEY; it comes into
being with its first operation. The operation "delete" deletes it.

Nobody is told how it ends: that it failed, or that the entity has no such operation,
is in the log of the node that ran it. An entity that no node binds keeps it.`,
		Args: idAndName(oneEntity, "the ID of an entity (@NAME@KEY) and the name of an operation"),
	}
	t.flags(cmd)
	input := p.inputFlag(cmd, "data", "input of the operation")
	cmd.Flags().StringVar(&at, "at", "", "`time` before which the operation does not run (RFC 3339), or how far ahead (90s, 1h30m)")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		payload, err := input()
		if err != nil {
			return err
		}
		var options []client.SignalOption
		if cmd.Flags().Changed("at") {
			due, err := dueTime(at, time.Now())
			if err != nil {
				return err
			}
			options = append(options, client.WithSignalAt(due))
		}
		return c.SignalEntity(ctx, entityID(args[0]), args[1], payload, options...)
	})
	return cmd
}

// dueTime reads a time, or a distance from now.
func dueTime(text string, now time.Time) (time.Time, error) {
	if ahead, err := time.ParseDuration(text); err == nil {
		if ahead < 0 {
			return time.Time{}, usage("--at %q is in the past", text)
		}
		return now.Add(ahead), nil
	}
	due, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, usage("--at %q is neither a time like %s nor a duration like 90s", text, now.UTC().Format(time.RFC3339))
	}
	return due, nil
}

func (p *program) entityCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "entity ENTITY",
		Short: "Show an entity and its state",
		Long: `Show an entity, named by its ID, @NAME@KEY, with the state that was committed last.
One that has no state does not exist (exit code 3).`,
		Args: oneEntity,
	}
	t.flags(cmd)
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, args []string) error {
		e, err := c.Entity(ctx, entityID(args[0]))
		if err != nil {
			return err
		}
		if !e.Exists {
			return fmt.Errorf("entity %q has no state%s: %w", e.ID, entityWaits(e), client.ErrNotFound)
		}
		if t.output == "json" {
			return p.printJSON(entityJSON(e))
		}
		return p.printEntity(e)
	})
	return cmd
}

func (p *program) entitiesCommand() *cobra.Command {
	var t target
	var prefix string
	cmd := &cobra.Command{
		Use:   "entities",
		Short: "List entities",
		Long: `List the entities that have a state, partition by partition. It is no snapshot: each
partition is read when it is reached. With -o json, one entity a line.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 0 {
				return fmt.Errorf("want no argument, got %q; --prefix narrows the list", args)
			}
			return nil
		},
	}
	t.flags(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "only those whose IDs begin like this: `@NAME@KEY`, or a part of it")
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, _ []string) error {
		all := c.Entities(ctx, client.WithEntityPrefix(history.InstanceID(prefix)), client.WithStates())
		if t.output == "json" {
			encoder := p.encoder()
			for e, err := range all {
				if err != nil {
					return err
				}
				if err := encoder.Encode(entityJSON(e)); err != nil {
					return err
				}
			}
			return nil
		}
		w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tMODIFIED\tLOCKED BY\tSTATE")
		rows := 0
		for e, err := range all {
			if err != nil {
				return errors.Join(w.Flush(), err)
			}
			if rows++; rows%1000 == 0 { // a long list is not held until its end
				if err := w.Flush(); err != nil {
					return err
				}
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.ID, shownTime(e.Modified), orDash(string(e.LockedBy)), shown(e.State))
		}
		return w.Flush()
	})
	return cmd
}

func (p *program) printEntity(e client.Entity) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "ID\t%s\n", e.ID)
	fmt.Fprintf(w, "Modified\t%s\n", shownTime(e.Modified))
	if e.LockedBy != "" {
		fmt.Fprintf(w, "Locked by\t%s\n", e.LockedBy)
	}
	if e.Backlog > 0 {
		fmt.Fprintf(w, "Waiting\t%d\n", e.Backlog)
	}
	fmt.Fprintf(w, "State\t%s\n", shown(e.State))
	return w.Flush()
}

// entityWaits says what is known of an entity that has no state.
func entityWaits(e client.Entity) string {
	var all []string
	if e.LockedBy != "" {
		all = append(all, fmt.Sprintf("is locked by %q", e.LockedBy))
	}
	if e.Backlog > 0 {
		all = append(all, fmt.Sprintf("operations that wait: %d", e.Backlog))
		if e.LockedBy == "" {
			all = append(all, "perhaps because no node binds the entity")
		}
	}
	if all == nil {
		return ""
	}
	return " (" + strings.Join(all, ", ") + ")"
}

// entityForm is the JSON form of an entity.
type entityForm struct {
	EntityID     string          `json:"entityId"`
	LastModified time.Time       `json:"lastModifiedTime"`
	Backlog      int             `json:"backlogQueueSize"`
	LockedBy     string          `json:"lockedBy,omitempty"`
	State        json.RawMessage `json:"state"`
}

func entityJSON(e client.Entity) entityForm {
	return entityForm{string(e.ID), e.Modified, e.Backlog, string(e.LockedBy), asJSON(e.State)}
}

// oneEntity checks the argument of a command about one entity.
func oneEntity(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want the ID of one entity (@NAME@KEY), got %d arguments", len(args))
	}
	return history.ValidateEntityID(entityID(args[0]))
}

// entityID returns the ID that a text means: the name may be in any case.
func entityID(text string) history.InstanceID {
	id := history.InstanceID(text)
	if strings.HasPrefix(text, "@") && strings.Count(text, "@") > 1 {
		id = history.EntityID(id.Entity())
	}
	return id
}
