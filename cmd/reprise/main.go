package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
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
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if !p.began { // it did not come to run a command: cobra found the command line wrong
		code = exitUsage
	}
	fmt.Fprintln(stderr, "reprise:", err)
	if code == exitUsage && !p.began {
		fmt.Fprintln(stderr, howToUse(command))
	}
	if code == exitUnreachable {
		fmt.Fprintln(stderr, `Is a node there? --address wants where it takes requests, not its ports for other nodes; "reprise up" starts a cluster to play with.`)
	}
	return code
}

// howToUse says where the usage of a command is told.
func howToUse(command *cobra.Command) string {
	if !command.HasParent() {
		return `Run "reprise help" for the commands, "reprise help COMMAND" for one.`
	}
	return fmt.Sprintf("Run %q for what it takes.", command.Root().Name()+" help"+strings.TrimPrefix(command.CommandPath(), command.Root().Name()))
}

// program is what all commands share.
type program struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	// began is set when the command line was found right and a command runs.
	began bool
}

// note tells people something about a command that has done what it was asked to, where
// it does not spoil the output for programs.
func (p *program) note(format string, args ...any) {
	fmt.Fprintf(p.stderr, "reprise: "+format+"\n", args...)
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
  5  refused: the ID is taken, the input too large, by the orchestration that was asked,
     a group needs no recovery
  6  --timeout passed
  7  the disk or the data directory is not usable
  130  interrupted`,
		SilenceErrors: true,
		SilenceUsage:  true,
		// Without Args: a command that there is not is told before the flags behind it are.
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
