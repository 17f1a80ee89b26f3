package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/history"
)

// target is how a command reaches a cluster.
type target struct {
	addresses []string
	hub       string
	tls       tlsFiles
	output    string
	timeout   time.Duration
}

// flags adds the flags that all commands have that ask a cluster.
func (t *target) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&t.addresses, "address", []string{client.DefaultAddress}, "API `addresses` of nodes, comma-separated")
	f.StringVar(&t.hub, "task-hub", string(history.DefaultTaskHub), "task hub")
	f.StringVarP(&t.output, "output", "o", "table", "how to print: `json|table`")
	f.DurationVar(&t.timeout, "timeout", 0, "give up after this time (exit code 6); 0: never")
	t.tls.flags(cmd)
}

// asks is the RunE of a command that asks a cluster.
func (t *target) asks(do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := fromEnvironment(cmd.Flags()); err != nil {
			return err
		}
		if err := checkOutput(t.output); err != nil {
			return err
		}
		if t.timeout < 0 {
			return usage("--timeout %v is negative", t.timeout)
		}
		for _, a := range t.addresses {
			_, port, err := net.SplitHostPort(a)
			if n, e := strconv.ParseUint(port, 10, 16); err != nil || e != nil || n == 0 {
				return usage("--address %q: want host:port, with a port of 1 to 65535", a)
			}
		}
		options := []client.Option{client.WithTaskHub(history.TaskHub(t.hub))}
		config, err := t.tls.load()
		if err != nil {
			return err
		}
		if config != nil {
			options = append(options, client.WithTLS(config))
		}
		c, err := client.Dial(t.addresses, options...)
		if err != nil {
			return usage("%w", err)
		}
		ctx := cmd.Context()
		if t.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, t.timeout, &timeoutError{t.timeout})
			defer cancel()
		}
		err = do(ctx, c, args)
		_ = c.Close() // nothing is under way any more
		if hub := history.TaskHub(t.hub); hub != history.DefaultTaskHub && errors.Is(err, client.ErrNotFound) {
			err = fmt.Errorf("%w in task hub %q", err, hub)
		}
		return err
	}
}

// checkOutput checks the flag --output.
func checkOutput(form string) error {
	if form != "table" && form != "json" {
		return usage("--output %q: json and table are possible", form)
	}
	return nil
}

// timeoutError says that --timeout passed. It is a [context.DeadlineExceeded].
type timeoutError struct{ after time.Duration }

func (e *timeoutError) Error() string {
	return fmt.Sprintf("not done within %v (--timeout)", e.after)
}

func (e *timeoutError) Unwrap() error { return context.DeadlineExceeded }

// idAndName wants an ID, which check checks, and a name.
func idAndName(check cobra.PositionalArgs, want string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 2 || args[1] == "" {
			return fmt.Errorf("want %s, got %q", want, args)
		}
		return check(cmd, args[:1])
	}
}

// oneID checks the argument of a command about one instance.
func oneID(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("want one instance ID, got %d arguments", len(args))
	}
	id := history.InstanceID(args[0])
	if id.IsEntity() {
		return fmt.Errorf("%q begins with @, as IDs of entities do, and this command is for orchestrations; \"reprise entity\" shows an entity, \"reprise signal\" asks it for an operation", id)
	}
	return history.ValidateOrchestrationID(id)
}
