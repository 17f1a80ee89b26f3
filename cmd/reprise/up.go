package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/spf13/cobra"
)

// maxUpNodes bounds a local cluster: the ports of more nodes would meet.
const maxUpNodes = 9

func (p *program) upCommand() *cobra.Command {
	var count int
	var dir string
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run a local cluster with the samples in the foreground",
		Long: `Run a local cluster of node processes with the samples until Ctrl-C. The first
node takes requests on the default address. The same directory continues the
cluster, and with more nodes it grows.`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.IntVar(&count, "nodes", 3, "how many nodes")
	f.StringVar(&dir, "data-dir", "reprise-data", "`directory` of the cluster; it is created")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if count < 1 || count > maxUpNodes {
			return usage("--nodes %d: 1 to %d are possible", count, maxUpNodes)
		}
		return p.up(cmd.Context(), count, dir)
	}
	return cmd
}

// upAddresses gives node i (from 0) the ports 4001 to 4003, 4011 to 4013, …
func upAddresses(i int) nodeAddresses {
	at := func(port int) string { return "127.0.0.1:" + strconv.Itoa(port+10*i) }
	return nodeAddresses{at(4001), at(4002), at(4003)}
}

// upNodes describes the processes. Nodes that have no directory yet found the
// cluster together if none has, and join it otherwise.
func upNodes(count int, dir string) []*nodeProcess {
	var join []string
	found := 0
	path := func(i int) string { return filepath.Join(dir, fmt.Sprintf("n%d", i+1)) }
	for i := range count {
		join = append(join, upAddresses(i).gossip)
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
		nodes = append(nodes, newNodeProcess(fmt.Sprintf("n%d", i+1), path(i), upAddresses(i), more...))
	}
	return nodes
}

func (p *program) up(ctx context.Context, count int, dir string) (err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return usage("create the cluster's directory: %w", err)
	}
	nodes := upNodes(count, dir)
	defer func() { stopAll(nodes) }()
	var mu sync.Mutex
	for _, n := range nodes {
		if err := n.start(&prefixed{mu: &mu, out: p.stderr, prefix: n.name + " | "}); err != nil {
			return err
		}
	}
	ended := make(chan error, count)
	for _, n := range nodes {
		go func() { // ends with the node, which this function stops
			<-n.ended
			ended <- fmt.Errorf("node %s ended: %w", n.name, orEnd(n.err))
		}()
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
		fmt.Fprintf(p.stdout, "node %s takes requests on %s\n", n.name, n.api)
	}
	fmt.Fprintln(p.stdout, `try: reprise start hello --input '["Tokyo","Seattle"]' --wait      (Ctrl-C stops the cluster)`)
	mu.Unlock()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
}

var errEndedByItself = errors.New("it ended by itself")

func orEnd(err error) error {
	if err == nil {
		return errEndedByItself
	}
	return err
}
