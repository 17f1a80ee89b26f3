package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// description is what the tests read of "cluster -o json".
type description struct {
	ClusterID string
	Nodes     []struct {
		Name  string
		State string
	}
	Partitions []struct {
		ID       uint32
		Leader   string
		Replicas []struct {
			Node         string
			Voter        bool
			Reachable    bool
			AppliedIndex uint64
		}
	}
}

// settled says whether so many nodes live and vote in every partition, and lead
// about as many.
func (d description) settled(nodes int) bool {
	leads := map[string]int{}
	for _, p := range d.Partitions {
		voters := 0
		for _, r := range p.Replicas {
			if r.Voter && r.Reachable {
				voters++
			}
		}
		if voters != nodes || p.Leader == "" {
			return false
		}
		if p.ID != 0 {
			leads[p.Leader]++
		}
	}
	return len(d.Nodes) == nodes && len(leads) == nodes
}

// TestNameThatNobodyBinds: an orchestration waits, visibly, until a node that has
// its code joins.
func TestNameThatNobodyBinds(t *testing.T) {
	t.Parallel()
	without := newNode(t, "n1")
	without.start(t)
	c := without.client()
	c.run(t, "start", "hello", "--id", "early", "--input", `["Nara"]`).want(t, 0, "early\n")
	eventually(t, "the instance says what it waits for", func() bool {
		in := ask[instance](t, c, "status", "early")
		if in.RuntimeStatus != "Pending" {
			t.Fatalf("status %s, want Pending", in.RuntimeStatus)
		}
		return len(in.Waiting) == 1 && strings.Contains(in.Waiting[0], `orchestrator "hello"`)
	})
	if o := c.run(t, "status", "early"); !strings.Contains(o.stdout, "Waits for") || !strings.Contains(o.stdout, "no node binds") {
		t.Errorf("the table does not say what it waits for:\n%s", o.stdout)
	}
	with := newNode(t, "n2", "--samples", "--join", without.gossip)
	with.start(t)
	c.run(t, "wait", "early", "--timeout", limit.String()).want(t, 0, `["Hello, Nara!"]`+"\n")
	with.client().run(t, "wait", "early").want(t, 0, `["Hello, Nara!"]`+"\n")
}

// TestOneGrowsToThree: what one node took, three have, also without that one.
func TestOneGrowsToThree(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nodes")
	}
	t.Parallel()
	n1 := newNode(t, "n1", "--bootstrap-expect", "1", "--partitions", "6", "--samples")
	n1.start(t)
	const ended, waiting = 10, 5
	for i := range ended {
		n1.client().run(t, "start", "hello", "--id", fmt.Sprintf("ended-%d", i), "--input", fmt.Sprintf(`["%d"]`, i), "--wait").
			want(t, 0, fmt.Sprintf("[\"Hello, %d!\"]\n", i))
	}
	for i := range waiting {
		id := fmt.Sprintf("waiting-%d", i)
		n1.client().run(t, "start", "nobody", "--id", id).want(t, 0, id+"\n")
	}
	n2, n3 := newNode(t, "n2", "--join", n1.gossip, "--samples"), newNode(t, "n3", "--join", n1.gossip, "--samples")
	n2.launch(t)
	n3.launch(t)
	n2.ready(t)
	n3.ready(t)
	eventually(t, "all three nodes vote in and lead partitions", func() bool {
		return ask[description](t, n2.client(), "cluster").settled(3)
	})
	n1.kill(t)
	c := command{env: []string{"REPRISE_ADDRESS=" + n1.api + "," + n2.api + "," + n3.api}}
	for i := range ended {
		c.run(t, "wait", fmt.Sprintf("ended-%d", i)).want(t, 0, fmt.Sprintf("[\"Hello, %d!\"]\n", i))
	}
	for i := range waiting {
		if in := ask[instance](t, c, "status", fmt.Sprintf("waiting-%d", i)); in.RuntimeStatus != "Pending" {
			t.Errorf("%s is %s, want Pending", in.InstanceID, in.RuntimeStatus)
		}
	}
	c.run(t, "start", "hello", "--input", `["b"]`, "--wait").want(t, 0, `["Hello, b!"]`+"\n")
	eventually(t, "the cluster says that n1 is gone", func() bool {
		for _, n := range ask[description](t, c, "cluster").Nodes {
			if n.Name == "n1" && n.State == "alive" {
				return false
			}
		}
		return true
	})
	n1.start(t)
	eventually(t, "n1 votes and leads again", func() bool {
		return ask[description](t, n1.client(), "cluster").settled(3)
	})
	n1.stop(t)
	n2.stop(t)
	n3.stop(t) // the last one has no majority, and stops all the same
}

// TestNotFoundedYet: a node that founds a cluster with another one says that it
// waits, and so does whoever asks it.
func TestNotFoundedYet(t *testing.T) {
	t.Parallel()
	n1, n2 := newNode(t, "n1", "--bootstrap-expect", "2"), newNode(t, "n2", "--bootstrap-expect", "2")
	for _, n := range []*node{n1, n2} {
		n.more = append(n.more, "--join", n1.gossip+","+n2.gossip)
	}
	n1.launch(t)
	eventually(t, "the node logs that it waits", func() bool { return strings.Contains(n1.stderr.String(), "it waits for other nodes") })
	eventually(t, "the node says that it has no cluster", func() bool {
		o := n1.client().run(t, "cluster", "--timeout", "500ms")
		return o.code == 6 && strings.Contains(o.stderr, "does not belong to a cluster yet")
	})
	n2.launch(t)
	n1.ready(t)
	n2.ready(t)
	n1.client().run(t, "start", "x", "--id", "x").want(t, 0, "x\n")
	alone := newNode(t, "n3", "--bootstrap-expect", "3")
	alone.refused(t, 2, "bootstrap-expect is 3", "nobody to join")
}

// TestAnotherClustersData: a node that belongs to a cluster does not join another.
func TestAnotherClustersData(t *testing.T) {
	t.Parallel()
	a, b := newNode(t, "a"), newNode(t, "b")
	a.start(t)
	b.start(t)
	b.stop(t)
	b.more = []string{"--join", a.gossip}
	b.launch(t)
	if code := b.end(t); code != 7 || !strings.Contains(b.stderr.String(), "belongs to another cluster") {
		t.Errorf("exit code %d, want 7 and the reason in\n%s", code, b.stderr.tail())
	}
	a.client().run(t, "start", "x", "--id", "x").want(t, 0, "x\n") // a lives on
}
