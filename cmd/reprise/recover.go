package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/reprise-run/reprise/cluster"
	"github.com/reprise-run/reprise/raftlog"
)

// recoverSettings are the flags of "reprise recover" and "reprise recover inspect".
type recoverSettings struct {
	dirs, reports, lost, groups []string
	yes                         bool
	output                      string
}

func (s *recoverSettings) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&s.dirs, "data-dir", nil, "data `directories` of nodes that do not run, comma-separated")
	f.StringVarP(&s.output, "output", "o", "table", "how to print: `json|table`")
}

// check finds what is wrong with the flags that both commands have. They do not come
// from the environment: what a recovery does is said where it is started.
func (s *recoverSettings) check() error {
	if len(s.dirs) == 0 {
		return usage("give the --data-dir of a node that does not run")
	}
	return checkOutput(s.output)
}

func (p *program) recoverCommand() *cobra.Command {
	var s recoverSettings
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Bring back groups that have lost most of their disks for ever",
		Long: `Bring back groups that have lost most of their disks for ever.

Each partition, and the system group, needs a majority of its replicas. If the disks
of so many are lost that there will never be a majority again, the group stays down,
and the nodes say so in their logs. This command lets it go on from one replica that
is left: the one with the longest log. What the lost replicas had acknowledged beyond
that log is lost. If the disks are only away, bring them back instead.

  1. Stop the nodes that are left. Keep the lost ones stopped, and destroy what there
     is of their data directories: a majority of old replicas could elect a leader of
     its own and serve beside the cluster.
  2. On the machine of each node that is left, see what it has:
       reprise recover inspect --data-dir DIR
     With -o json that is a report, which can be taken to another machine.
  3. On each of them, see what would be done, and then do it with --yes:
       reprise recover --data-dir DIR --lost n2,n3 --report n4.json
     --lost names the nodes whose disks are lost; of all others that have a replica
     a report is needed, if the group cannot do without.
  4. Start the nodes that are left. Start the lost ones with empty data directories,
     under their old names and without --bootstrap-expect: they get new replicas.

docs/recovery.md has the whole story.`,
		Args: cobra.NoArgs,
	}
	s.flags(cmd)
	f := cmd.Flags()
	f.StringSliceVar(&s.reports, "report", nil, "`files` that \"recover inspect -o json\" wrote about other nodes")
	f.StringSliceVar(&s.lost, "lost", nil, "`names` of nodes whose disks are lost for ever")
	f.StringSliceVar(&s.groups, "group", nil, "only these `partitions`, or system; all that need it if left out")
	f.BoolVar(&s.yes, "yes", false, "do it; otherwise it is only shown")
	cmd.RunE = func(*cobra.Command, []string) error { return p.recover(s) }
	cmd.AddCommand(p.inspectCommand())
	return cmd
}

func (p *program) inspectCommand() *cobra.Command {
	var s recoverSettings
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what nodes that do not run have on their disks",
		Long: `Show what nodes that do not run have on their disks, for each group: the replica's
identity, its term, how far its log and its state reach, when the newest entry was
written, and the voters that it knows. Nothing is changed.`,
		Args: cobra.NoArgs,
	}
	s.flags(cmd)
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := s.check(); err != nil {
			return err
		}
		nodes, err := cluster.Inspect(cluster.RecoverConfig{DataDirs: s.dirs})
		if err != nil {
			return err
		}
		if s.output == "json" {
			return p.printJSON(nodes)
		}
		return p.printStopped(nodes)
	}
	return cmd
}

// config makes what package cluster wants of the flags.
func (s *recoverSettings) config() (cluster.RecoverConfig, error) {
	c := cluster.RecoverConfig{DataDirs: s.dirs, Lost: s.lost}
	if err := s.check(); err != nil {
		return c, err
	}
	for _, g := range s.groups {
		if g == systemName {
			g = "0"
		}
		id, err := strconv.ParseUint(g, 10, 32)
		if err != nil {
			return c, usage("--group %q: want the number of a partition, or %s", g, systemName)
		}
		c.Groups = append(c.Groups, uint32(id))
	}
	for _, name := range s.reports {
		b, err := os.ReadFile(name)
		if err != nil {
			return c, usage("read the report: %w", err)
		}
		var nodes []cluster.StoppedNode
		if err := json.Unmarshal(b, &nodes); err != nil {
			return c, usage("%s is no report of \"reprise recover inspect -o json\": %w", name, err)
		}
		c.Reports = append(c.Reports, nodes...)
	}
	return c, nil
}

func (p *program) recover(s recoverSettings) error {
	config, err := s.config()
	if err != nil {
		return err
	}
	act := cluster.PlanRecovery
	if s.yes {
		act = cluster.Recover
	}
	r, err := act(config)
	if err != nil {
		return err
	}
	if s.output == "json" {
		return p.printJSON(toRecoveryJSON(r, s.yes))
	}
	return p.printRecovery(r, s.yes)
}

type (
	recoveryJSON struct {
		ClusterID string              `json:"clusterId"`
		Done      bool                `json:"done"`
		Groups    []groupRecoveryJSON `json:"groups"`
	}
	groupRecoveryJSON struct {
		Group     uint32           `json:"group"`
		Need      string           `json:"need"`
		Why       string           `json:"why"`
		Recovered bool             `json:"recovered"` // or would be, with --yes
		Node      string           `json:"node,omitempty"`
		LastIndex uint64           `json:"lastIndex"`
		LastTerm  uint64           `json:"lastTerm"`
		LastTime  time.Time        `json:"lastTime,omitzero"`
		ServerID  string           `json:"serverId,omitempty"` // the new one
		Servers   []serverFateJSON `json:"servers"`
	}
	serverFateJSON struct {
		Node     string `json:"node"`
		ServerID string `json:"serverId"`
		Voter    bool   `json:"voter"`
		Fate     string `json:"fate"`
	}
)

func toRecoveryJSON(r cluster.Recovery, done bool) recoveryJSON {
	out := recoveryJSON{ClusterID: r.Cluster, Done: done, Groups: []groupRecoveryJSON{}}
	for _, g := range r.Groups {
		j := groupRecoveryJSON{
			Group: uint32(g.Group), Need: string(g.Need), Why: g.Why, Recovered: g.Chosen, Node: string(g.From.Server.Node()),
			LastIndex: g.From.LastIndex, LastTerm: g.From.LastTerm, LastTime: g.From.LastTime,
			ServerID: string(g.Identity), Servers: []serverFateJSON{},
		}
		for _, x := range g.Servers {
			j.Servers = append(j.Servers, serverFateJSON{string(x.ID.Node()), string(x.ID), x.Voter, string(x.Fate)})
		}
		out.Groups = append(out.Groups, j)
	}
	return out
}

// systemName is what people call group 0.
const systemName = "system"

func groupName(g raftlog.GroupID) string {
	if g == 0 {
		return systemName
	}
	return strconv.FormatUint(uint64(g), 10)
}

func writtenAt(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05.000 MST")
}

func (p *program) printStopped(nodes []cluster.StoppedNode) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for i, n := range nodes {
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "Node %s of cluster %s, in %s\n\n", n.Name, orDash(n.Cluster), n.DataDir)
		fmt.Fprintln(w, "GROUP\tTERM\tLOG ENDS AT\tOF TERM\tWRITTEN\tAPPLIED\tVOTERS\tIDENTITY\tDAMAGE")
		for _, r := range n.Replicas {
			var voters []string
			for _, s := range r.Servers {
				if s.Voter {
					voters = append(voters, string(s.ID.Node()))
				}
			}
			fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\t%d\t%s\t%s\t%s\n", groupName(r.Group), r.Term, r.LastIndex, r.LastTerm,
				writtenAt(r.LastTime), r.Applied, orDash(strings.Join(voters, ",")), r.Server, orDash(r.Damage))
		}
	}
	return w.Flush()
}

func (p *program) printRecovery(r cluster.Recovery, done bool) error {
	fmt.Fprintf(p.stdout, "Cluster %s\n\n", r.Cluster)
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "GROUP\tGOES ON FROM\tLOG ENDS AT\tOF TERM\tWRITTEN\tSERVERS")
	var left []cluster.GroupRecovery
	var from, gone []string
	for _, g := range r.Groups {
		if !g.Chosen {
			left = append(left, g)
			continue
		}
		var servers []string
		for _, s := range g.Servers {
			node := string(s.ID.Node())
			text := node + " " + string(s.Fate)
			if !s.Voter {
				text += " (no vote)"
			}
			servers = append(servers, text)
			if s.Fate != raftlog.FateIntact && !slices.Contains(gone, node) {
				gone = append(gone, node)
			}
		}
		if node := string(g.From.Server.Node()); !slices.Contains(from, node) {
			from = append(from, node)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%s\t%s\n", groupName(g.Group), g.From.Server.Node(), g.From.LastIndex, g.From.LastTerm, writtenAt(g.From.LastTime), strings.Join(servers, ", "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, g := range left {
		fmt.Fprintf(p.stdout, "\nGroup %s is left as it is: %s.\n", groupName(g.Group), g.Why)
	}
	slices.Sort(gone)
	slices.Sort(from)
	lost, kept := strings.Join(gone, ", "), strings.Join(from, ", ")
	fmt.Fprintf(p.stdout, `
What is lost: whatever %s acknowledged after these logs end, and nobody else holds.
Callers were told of it and will not find it: an instance that was started then is not
there ("reprise status ID" exits with code 3), one that had moved on is at an earlier
step, and activities whose results were recorded then run again. The time at which
each log was last written tells from when on to look.
`, lost)
	if !done {
		fmt.Fprintf(p.stdout, `
NOTHING WAS CHANGED. If that is what you want, repeat the command with --yes.
`)
		return nil
	}
	fmt.Fprintf(p.stdout, `
DONE. Now
  1. destroy the data directories that %s had for this cluster, wherever a copy is:
     a majority of old replicas could serve beside the recovered ones;
  2. start %s;
  3. start %s with empty data directories, under their old names and without
     --bootstrap-expect; "reprise cluster" shows how they get their replicas.
`, lost, kept, lost)
	return nil
}
