package testcluster

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/cluster/server"
)

// NodeReport is the report of a process that runs [RunNode].
type NodeReport struct {
	Stats   cluster.Stats
	Cluster cluster.Description
}

// RunNode is the role of a whole node: what the reprise program's server is, with
// the functions that bind binds. It ends in good order on SIGTERM.
func RunNode(bind func(*reprise.Registry)) {
	if err := runNode(Self(), bind); err != nil {
		Fatal(err)
	}
}

func runNode(spec Spec, bind func(*reprise.Registry)) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer cancel()
	registry := reprise.NewRegistry()
	bind(registry)
	cfg := cluster.Config{
		Name: spec.Name, DataDir: spec.Dir,
		APIAddr: spec.APIAddr, PeerAddr: spec.PeerAddr, GossipAddr: spec.GossipAddr,
		BootstrapExpect: len(spec.Peers),
	}
	if len(spec.Peers) > 1 {
		for _, p := range spec.Peers {
			cfg.Join = append(cfg.Join, p.GossipAddr)
		}
	}
	listener, err := net.Listen("tcp", spec.APIAddr)
	if err != nil {
		return err
	}
	node, err := cluster.Start(ctx, cfg, registry)
	if err != nil {
		return err
	}
	api := server.New(node, server.Config{})
	served := make(chan error, 1)
	go func() { served <- api.Serve(listener) }()
	go Serve(spec, func(r *http.Request) (any, error) {
		description, err := node.Describe(r.Context())
		return NodeReport{node.Stats(), description}, err
	}, nil)
	select {
	case <-ctx.Done():
	case err := <-served:
		return fmt.Errorf("serve requests: %w", err)
	}
	patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	api.Stop(patience)
	return node.Stop(patience)
}

// Reports asks every running node at once; a node that does not answer within
// two seconds has nil.
func (c *Cluster) Reports(ctx context.Context) []*NodeReport {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	reports := make([]*NodeReport, len(c.Nodes))
	var wg sync.WaitGroup
	for i, n := range c.Nodes {
		wg.Go(func() {
			var r NodeReport
			if n.Running() && n.Report(ctx, &r) == nil {
				reports[i] = &r
			}
		})
	}
	wg.Wait()
	return reports
}

// Leaders returns which node leads each partition, as the nodes tell it; of two
// that say so, the one of the newer epoch. The system group is left out.
func (c *Cluster) Leaders(ctx context.Context) map[uint32]string {
	leaders, epochs := map[uint32]string{}, map[uint32]uint64{}
	for _, r := range c.Reports(ctx) {
		if r == nil {
			continue
		}
		for _, p := range r.Cluster.Partitions {
			if p.ID != 0 && p.Leader != "" && p.Epoch >= epochs[p.ID] {
				leaders[p.ID], epochs[p.ID] = p.Leader, p.Epoch
			}
		}
	}
	return leaders
}

// Busiest returns the running node that leads the most partitions, and which. Of
// equals it is the one that has run for longest. It is nil where no leader is
// known.
func (c *Cluster) Busiest(ctx context.Context) (*Node, []uint32) {
	leads := map[string][]uint32{}
	for p, name := range c.Leaders(ctx) {
		leads[name] = append(leads[name], p)
	}
	var busiest *Node
	for _, n := range c.Nodes {
		if !n.Running() || len(leads[n.Name()]) == 0 {
			continue
		}
		more := busiest == nil
		if !more {
			mine, best := len(leads[n.Name()]), len(leads[busiest.Name()])
			more = mine > best || mine == best && n.began().Before(busiest.began())
		}
		if more {
			busiest = n
		}
	}
	if busiest == nil {
		return nil, nil
	}
	return busiest, leads[busiest.Name()]
}

// Ready waits until every running node sees every partition led by a running
// node.
func (c *Cluster) Ready(ctx context.Context) error {
	return c.await(ctx, "every partition is led", func() bool {
		for i, r := range c.Reports(ctx) {
			if r == nil {
				if c.Nodes[i].Running() {
					return false
				}
				continue
			}
			if len(r.Cluster.Partitions) == 0 {
				return false
			}
			for _, p := range r.Cluster.Partitions {
				if leader := c.Node(p.Leader); leader == nil || !leader.Running() {
					return false
				}
			}
		}
		return true
	})
}

// Balanced waits until the cluster is ready, every partition has a voting replica
// on every node and no node leads two partitions more than another.
func (c *Cluster) Balanced(ctx context.Context) error {
	if err := c.Ready(ctx); err != nil {
		return err
	}
	return c.await(ctx, "the leaders are spread", func() bool {
		for _, r := range c.Reports(ctx) {
			if r == nil || !spread(r.Cluster, len(c.Nodes)) {
				return false
			}
		}
		return true
	})
}

func spread(d cluster.Description, nodes int) bool {
	leads := map[string]int{}
	for _, p := range d.Partitions {
		voters := 0
		for _, replica := range p.Replicas {
			if replica.Voter {
				voters++
			}
		}
		if voters < min(nodes, 3) {
			return false
		}
		if p.ID != 0 {
			leads[p.Leader]++
		}
	}
	if len(leads) < nodes {
		return false
	}
	least, most := len(d.Partitions), 0
	for _, n := range leads {
		least, most = min(least, n), max(most, n)
	}
	return most-least <= 1
}

// await asks again and again, as long as no node ended by itself. What it waits
// for is seen only by asking processes.
func (c *Cluster) await(ctx context.Context, what string, done func() bool) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		if err := c.Died(); err != nil {
			return fmt.Errorf("wait until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w; leaders are %v", what, ctx.Err(), c.Leaders(context.Background()))
		case <-ticker.C:
		}
	}
	return nil
}
