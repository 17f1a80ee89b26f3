package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/client"
	"github.com/reprise-run/reprise/raftlog"
)

func (p *program) clusterCommand() *cobra.Command {
	var t target
	cmd := &cobra.Command{
		Use:   "cluster",
		Short: "Show nodes and what they bind, partitions, replicas, leaders and applied indexes",
		Args:  cobra.NoArgs,
	}
	t.flags(cmd)
	cmd.RunE = t.asks(func(ctx context.Context, c *client.Client, _ []string) error {
		d, err := c.Cluster(ctx)
		if err != nil {
			return err
		}
		if t.output == "json" {
			return p.printJSON(d)
		}
		return p.printCluster(d)
	})
	return cmd
}

func (p *program) printCluster(d client.Cluster) error {
	fmt.Fprintf(p.stdout, "Cluster %s, as %s sees it\n\n", d.ID, d.Self)
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NODE\tSTATE\tAPI\tPEERS\tGOSSIP\tLEADS\tRUNNING\tCLOCK")
	leads := map[string]int{}
	for _, part := range d.Partitions {
		if len(part.Slots) > 0 {
			leads[part.Leader]++
		}
	}
	for _, n := range d.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\n", n.Name, n.State, n.APIAddress, n.PeerAddress, n.GossipAddress, leads[n.Name], n.Running, clockOf(n))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "NODE\tORCHESTRATIONS\tACTIVITIES\tENTITIES")
	for _, n := range d.Nodes {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", n.Name, someOf(n.Orchestrations), someOf(n.Activities), someOf(n.Entities))
	}
	fmt.Fprintln(w)
	fmt.Fprintln(w, "PARTITION\tSLOTS\tLEADER\tEPOCH\tREPLICAS (APPLIED INDEX)")
	for _, part := range d.Partitions {
		leader := cmp.Or(part.Leader, "none")
		var slots, replicas []string
		for _, s := range part.Slots {
			slots = append(slots, fmt.Sprintf("%d-%d", s.First, s.Last))
		}
		for _, r := range part.Replicas {
			text := fmt.Sprintf("%s (%d)", r.Node, r.Applied)
			if !r.Reachable {
				text = r.Node + " (no answer)"
			}
			if !r.Voter {
				text += " catching up"
			}
			replicas = append(replicas, text)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", groupName(raftlog.GroupID(part.ID)), orDash(strings.Join(slots, ",")), leader, part.Epoch, strings.Join(replicas, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	p.printClocks(d)
	p.printDown(d)
	return nil
}

// clockOf says how a node's clock differs from those of the others.
func clockOf(n client.Node) string {
	text := "-"
	switch ahead := n.ClockAhead.Round(time.Millisecond); {
	case ahead > 0:
		text = ahead.String() + " ahead"
	case ahead < 0:
		text = (-ahead).String() + " behind"
	}
	if n.ClockWrong {
		text += ", WRONG"
	}
	return text
}

// printClocks says which nodes have a wrong clock, what that does, and what to do.
func (p *program) printClocks(d client.Cluster) {
	for _, n := range d.Nodes {
		if !n.ClockWrong {
			continue
		}
		direction := "ahead of"
		if n.ClockAhead < 0 {
			direction = "behind"
		}
		fmt.Fprintf(p.stdout, `
CLOCK: the time of day on %s is %v %s that of most nodes. Until it is right, %s leads no
partition that another node can lead; timers of those that it leads fire at the wrong time.
Set the clock of that machine, and see that it is kept right (NTP).
`, n.Name, n.ClockAhead.Abs().Round(time.Millisecond), direction, n.Name)
	}
}

// printDown says which partitions have no leader for want of voters, and what to do.
func (p *program) printDown(d client.Cluster) {
	alive := map[string]bool{}
	for _, n := range d.Nodes {
		alive[n.Name] = n.State != "dead"
	}
	var down []string
	missing := map[string]string{}
	for _, part := range d.Partitions {
		voters, there := 0, 0
		for _, r := range part.Replicas {
			if r.Voter {
				voters++
				if r.Reachable {
					there++
				}
			}
		}
		if part.Leader != "" || there > voters/2 {
			continue
		}
		down = append(down, groupName(raftlog.GroupID(part.ID)))
		for _, r := range part.Replicas {
			switch {
			case !r.Voter || r.Reachable:
			case alive[r.Node]:
				missing[r.Node] = r.Node + " (runs without its replicas: its disk was lost or wiped)"
			default:
				missing[r.Node] = r.Node + " (does not answer)"
			}
		}
	}
	if len(down) == 0 {
		return
	}
	var nodes []string
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		nodes = append(nodes, missing[name])
	}
	fmt.Fprintf(p.stdout, `
DOWN: %s. A majority of the replicas that vote is not there: %s.
Start those nodes with their disks. If disks are lost for ever, see "reprise recover --help".
`, strings.Join(down, ", "), orDash(strings.Join(nodes, ", ")))
}

func orDash(s string) string { return cmp.Or(s, "-") }

// shownNames is how many names a table shows.
const shownNames = 12

// someOf returns the names in one line; --output json has all of them.
func someOf(names []string) string {
	switch n := len(names); {
	case n == 0:
		return "-"
	case n > shownNames:
		return fmt.Sprintf("%s, … (%d)", strings.Join(names[:shownNames], ", "), n)
	}
	return strings.Join(names, ", ")
}
