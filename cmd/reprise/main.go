package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/internal/nodeproc"
)

func main() {
	nodeproc.Prepare()
	// The first signal stops in good order; those that follow are ignored, because a
	// terminal and a parent process may both send one. Every stop has a time limit.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program but for the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.command()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if !p.began { // it did not come to run a command: cobra found the command line wrong
		code = exitUsage
	}
	fmt.Fprintln(stderr, "reprise:", err)
	if code == exitUsage && !p.began {
		fmt.Fprintln(stderr, `Run "reprise help" for the commands, "reprise help COMMAND" for one.`)
	}
	if code == exitUnreachable {
		fmt.Fprintln(stderr, `Is a node there? --address names others, "reprise up" starts a cluster to play with.`)
	}
	return code
}

// program is what all commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// began is set when the command line was found right and a command runs.
	began bool
}

func (p *program) command() *cobra.Command {
	root := &cobra.Command{
		Use:   "reprise",
		Short: "Durable orchestrations on a cluster of equal nodes",
		Long: `Durable orchestrations on a cluster of equal nodes.

Exit codes:
  0  done; with --wait, wait and watch: the orchestration completed
  1  the orchestration failed, was cancelled or terminated
  2  wrong usage or settings
  3  no such instance
  4  the cluster is not reachable
  5  refused: the ID is taken, the input too large, a group needs no recovery
  6  --timeout passed
  7  the disk or the data directory is not usable
  130  interrupted`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		PersistentPreRun: func(*cobra.Command, []string) {
			p.began = true
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.AddCommand(
		p.serverCommand(), p.upCommand(), p.demoCommand(),
		p.startCommand(), p.waitCommand(), p.watchCommand(), p.statusCommand(), p.historyCommand(), p.raiseCommand(), p.queryCommand(), p.updateCommand(), p.cancelCommand(), p.terminateCommand(),
		p.completeCommand(), p.failCommand(),
		p.signalCommand(), p.entityCommand(), p.entitiesCommand(),
		p.clusterCommand(), p.recoverCommand(),
	)
	return root
}
