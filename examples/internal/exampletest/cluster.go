package exampletest

import (
	"context"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/examples/internal/outside"
	"github.com/reprise-run/reprise/history"
	"github.com/reprise-run/reprise/internal/heavy"
	"github.com/reprise-run/reprise/internal/testcluster"
)

// patience bounds what a test waits for; nothing is judged by it.
const patience = time.Minute

// Main is the TestMain of an example: it runs the tests or, in a process that was
// started as a node, a node with what bind binds.
func Main(m *testing.M, bind func(*reprise.Registry, outside.World)) {
	testcluster.Main(map[string]func(){
		"node": func() {
			spec := testcluster.Self()
			testcluster.RunNode(func(r *reprise.Registry) { bind(r, outside.World{URL: spec.Extra, Node: spec.Name}) })
		},
	})
	os.Exit(heavy.Run(m))
}

// Context returns a context that ends with the test, or when it has taken too long.
func Context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Cluster is three node processes and a client of them.
type Cluster struct {
	*testcluster.Cluster
	Client *client.Client
	t      *testing.T
}

// Start starts the nodes, with world as what is outside of them; nil: nothing is.
// With -short the test is skipped.
func Start(t *testing.T, world *Server) *Cluster {
	t.Helper()
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	config := testcluster.Config{Dir: t.ArtifactDir(), Nodes: 3, Role: "node"}
	if world != nil {
		config.Extra = world.URL()
	}
	nodes, err := testcluster.Start(Context(t), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nodes.Close)
	if err := nodes.Ready(Context(t)); err != nil {
		t.Fatal(err)
	}
	c, err := client.Dial(nodes.APIAddrs(), client.WithPatience(patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &Cluster{nodes, c, t}
}

// Kill ends a node as kill -9 does.
func (c *Cluster) Kill(node string) {
	c.t.Helper()
	n := c.Node(node)
	if n == nil {
		c.t.Fatalf("there is no node %q", node)
	}
	if err := n.Kill(); err != nil {
		c.t.Fatal(err)
	}
}

// Restart starts a node that was killed, and waits until the cluster is whole.
func (c *Cluster) Restart(node string) {
	c.t.Helper()
	if err := c.Node(node).Start(Context(c.t)); err != nil {
		c.t.Fatal(err)
	}
	if err := c.Ready(Context(c.t)); err != nil {
		c.t.Fatal(err)
	}
}

// KillLeader kills the node that leads the partition of an instance, and returns its
// name.
func (c *Cluster) KillLeader(id history.InstanceID) string {
	c.t.Helper()
	d, err := c.Client.Cluster(Context(c.t))
	if err != nil {
		c.t.Fatal(err)
	}
	slot := uint32(history.SlotOf(history.DefaultTaskHub, id))
	for _, p := range d.Partitions {
		for _, s := range p.Slots {
			if s.First <= slot && slot <= s.Last {
				c.Kill(p.Leader)
				return p.Leader
			}
		}
	}
	c.t.Fatalf("no partition has slot %d", slot)
	return ""
}

// Until returns when the status of an instance is as the test wants it, which only
// asking shows.
func (c *Cluster) Until(id history.InstanceID, done func(client.Instance) bool) {
	c.t.Helper()
	ctx := Context(c.t)
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		in, err := c.Client.Status(ctx, id)
		if err != nil {
			c.t.Fatalf("%v; the status is %+v", err, in)
		}
		if done(in) {
			return
		}
		<-ticker.C
	}
}

// Equal fails the test unless got is what it should be and there was no error.
func Equal[T any](t *testing.T, got, want T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}
