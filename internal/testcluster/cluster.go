package testcluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/reprise-run/reprise/internal/freeaddr"
)

// Config says what cluster of processes to start.
type Config struct {
	// Dir is where the nodes' directories and logs go. It must exist.
	Dir string
	// Nodes is how many processes there are.
	Nodes int
	// Role selects what each process does; see [Main].
	Role string
	// Extra is handed to the role.
	Extra string
	// Env holds further variables ("NAME=value") of the processes.
	Env []string
}

// Cluster is a set of node processes. Its methods are safe for concurrent use,
// but one node is started or stopped by one goroutine at a time.
type Cluster struct {
	Nodes []*Node
}

// Start starts the processes and returns when their control ports answer. On an
// error none is left.
func Start(ctx context.Context, cfg Config) (*Cluster, error) {
	c := &Cluster{}
	var peers []Peer
	for i := range cfg.Nodes {
		n := &Node{env: cfg.Env, spec: Spec{Role: cfg.Role, Name: fmt.Sprintf("n%d", i+1), Extra: cfg.Extra}}
		n.spec.Dir = filepath.Join(cfg.Dir, n.spec.Name)
		if err := os.MkdirAll(n.spec.Dir, 0o755); err != nil {
			return nil, fmt.Errorf("make the directory of node %s: %w", n.spec.Name, err)
		}
		for _, addr := range []*string{&n.spec.APIAddr, &n.spec.PeerAddr, &n.spec.GossipAddr, &n.spec.ControlAddr} {
			var err error
			if *addr, err = freeaddr.Loopback(); err != nil {
				return nil, err
			}
		}
		c.Nodes = append(c.Nodes, n)
		peers = append(peers, Peer{n.spec.Name, n.spec.PeerAddr, n.spec.GossipAddr})
	}
	for _, n := range c.Nodes {
		n.spec.Peers = peers
		if err := n.launch(); err != nil {
			c.Close()
			return nil, err
		}
	}
	for _, n := range c.Nodes {
		if err := n.serving(ctx); err != nil {
			c.Close()
			return nil, err
		}
	}
	return c, nil
}

// Close kills every process that still runs. The directories stay.
func (c *Cluster) Close() {
	for _, n := range c.Nodes {
		_ = n.Kill() // gone already
	}
}

// Node returns the node of a name, or nil.
func (c *Cluster) Node(name string) *Node {
	for _, n := range c.Nodes {
		if n.Name() == name {
			return n
		}
	}
	return nil
}

// APIAddrs returns where the nodes take requests.
func (c *Cluster) APIAddrs() []string {
	var addrs []string
	for _, n := range c.Nodes {
		addrs = append(addrs, n.spec.APIAddr)
	}
	return addrs
}

// Died returns an error for every process that ended although nobody ended it.
func (c *Cluster) Died() error {
	var errs []error
	for _, n := range c.Nodes {
		errs = append(errs, n.died())
	}
	return errors.Join(errs...)
}
