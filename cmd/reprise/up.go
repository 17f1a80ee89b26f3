package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// maxUpNodes bounds a local cluster: the ports of more nodes would meet.
const maxUpNodes = 9

func (p *program) upCommand() *cobra.Command {
	var count, port int
	var dir string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a local cluster with the samples in the foreground",
		Long: `Run a local cluster of node processes with the samples until Ctrl-C. The first
node takes requests on the default address. The same directory continues the
cluster, and with more nodes it grows. A node that ends by itself, or is killed, is
started again after a few seconds; the others go on meanwhile.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&count, "nodes", 3, "how many nodes")
	f.StringVar(&dir, "data-dir", "reprise-data", "`directory` of the cluster; it is created")
	f.IntVar(&port, "port", defaultPort, "where the first node takes requests; the nodes use up to 83 ports from there on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if count < 1 || count > maxUpNodes {
			return usage("--nodes %d: 1 to %d are possible", count, maxUpNodes)
		}
		if last := port + 10*(maxUpNodes-1) + 2; port < 1 || last > 65535 {
			return usage("--port %d: it and the ports up to %d must be from 1 to 65535", port, last)
		}
		return p.up(cmd.Context(), count, port, dir)
	}
	return cmd
}

// defaultPort is the port of client.DefaultAddress.
const defaultPort = 4001

// upAddresses gives node i (from 0) three ports: of 4001, that is 4001 to 4003,
// 4011 to 4013, and so on.
func upAddresses(port, i int) nodeAddresses {
	at := func(offset int) string { return "127.0.0.1:" + strconv.Itoa(port+10*i+offset) }
	return nodeAddresses{at(0), at(1), at(2)}
}

// upNodes describes the processes. Nodes that have no directory yet found the
// cluster together if none has, and join it otherwise.
func upNodes(count, port int, dir string) []*nodeProcess {
	var join []string
	found := 0
	path := func(i int) string { return filepath.Join(dir, fmt.Sprintf("n%d", i+1)) }
	for i := range count {
		join = append(join, upAddresses(port, i).gossip)
		if _, err := os.Stat(path(i)); err == nil {
			found++
		}
	}
	if found == 0 {
		found = count
	}
	var nodes []*nodeProcess
	for i := range count {
		var more []string
		if count > 1 {
			more = append(more, "--join", strings.Join(join, ","))
		}
		if i < found {
			more = append(more, "--bootstrap-expect", strconv.Itoa(found))
		}
		nodes = append(nodes, newNodeProcess(fmt.Sprintf("n%d", i+1), path(i), upAddresses(port, i), more...))
	}
	return nodes
}

func (p *program) up(ctx context.Context, count, port int, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usage("create the cluster's directory: %w", err)
	}
	nodes := upNodes(count, port, dir)
	defer func() { stopAll(nodes) }()
	var mu sync.Mutex // of both outputs
	logs := func(n *nodeProcess) io.Writer { return &prefixed{mu: &mu, out: p.stderr, prefix: n.name + " | "} }
	for _, n := range nodes {
		if err := n.start(logs(n)); err != nil {
			return err
		}
	}
	for _, n := range nodes {
		if err := n.ready(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	mu.Lock()
	for _, n := range nodes {
		fmt.Fprintf(p.stdout, "node %s takes requests on %s (process %d)\n", n.name, n.api, n.cmd.Process.Pid)
	}
	address := ""
	if port != defaultPort {
		address = " --address " + nodes[0].api
	}
	fmt.Fprintf(p.stdout, "try: reprise start hello --input '[\"Tokyo\",\"Seattle\"]' --wait%s      (Ctrl-C stops the cluster)\n", address)
	mu.Unlock()
	var keepers sync.WaitGroup
	down := make([]error, count)
	for i, n := range nodes {
		keepers.Go(func() {
			down[i] = n.keep(ctx, logs(n), func(format string, args ...any) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintf(p.stdout, format+"\n", args...)
			})
		})
	}
	keepers.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(down...)
}

// restartPause is how long a node that has ended by itself stays down: long enough to
// see that the others go on.
const restartPause = 3 * time.Second

// keep starts a node again whenever it ends, until ctx is done. It returns an error
// where the node does not come up any more.
func (n *nodeProcess) keep(ctx context.Context, log io.Writer, say func(string, ...any)) error {
	for {
		select {
		case <-n.ended:
		case <-ctx.Done():
			return nil
		}
		if ctx.Err() != nil {
			return nil
		}
		say("node %s ended: %v; the others go on, and it starts again in %v", n.name, orEnd(n.err), restartPause)
		select {
		case <-time.After(restartPause):
		case <-ctx.Done():
			return nil
		}
		err := n.start(log)
		if err == nil {
			err = n.ready(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			say("node %s stays down: %v", n.name, err)
			return err
		}
		say("node %s takes requests again on %s (process %d)", n.name, n.api, n.cmd.Process.Pid)
	}
}

var errEndedByItself = errors.New("it ended by itself")

func orEnd(err error) error {
	if err == nil {
		return errEndedByItself
	}
	return err
}
