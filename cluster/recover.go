package cluster

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
	"github.com/reprise-run/reprise/raftlog"
)

// RecoverConfig says what is left of a cluster in which groups have lost the
// majority of their voters for ever.
type RecoverConfig struct {
	// DataDirs are the directories of nodes that do not run.
	DataDirs []string
	// Reports are of nodes that do not run and whose directories are elsewhere, as
	// [Inspect] found them there. They must not have run since.
	Reports []StoppedNode
	// Lost are the names of nodes whose disks are lost for ever.
	Lost []string
	// Groups are the groups to recover, the system group being 0; empty: all that
	// need it and can be recovered from a directory in DataDirs.
	Groups []uint32
	// Logger gets what people should know; nil: slog.Default.
	Logger *slog.Logger
	// FS is the file system; nil: the disk.
	FS vfs.FS
}

// reportFormat is the version of [StoppedNode]'s JSON.
const reportFormat = 1

// StoppedNode is what a node that does not run has on its disk. Its JSON is carried
// from one machine to another.
type StoppedNode struct {
	Format int `json:"format"`
	// Cluster is empty where the node has never belonged to one.
	Cluster string `json:"clusterId"`
	Name    string `json:"node"`
	DataDir string `json:"dataDir"`
	// Inspected is when.
	Inspected time.Time `json:"inspected"`
	// Nodes are those of the newest layout that the node has seen.
	Nodes    []string          `json:"nodes"`
	Layout   uint64            `json:"layout"`
	Replicas []raftlog.Replica `json:"replicas"`
}

// Recovery is what can be done for the groups of a cluster, or was done.
type Recovery struct {
	Cluster string
	Nodes   []StoppedNode
	Groups  []GroupRecovery
}

// GroupRecovery is what can be done for a group, or was done.
type GroupRecovery struct {
	raftlog.GroupPlan
	// Chosen is set where the group is recovered: it needs it, the directory of the
	// node with its longest log is here, and it was asked for.
	Chosen bool
	// Identity is that of the recovered replica, once it was done.
	Identity raftlog.ServerID
}

// Inspect looks at the directories of nodes that do not run. It changes nothing.
// Errors: ErrConfig, ErrLocked, ErrNotWritable, ErrNewerFormat, ErrCorrupt.
func Inspect(cfg RecoverConfig) (nodes []StoppedNode, err error) {
	stopped, err := openStopped(cfg)
	for _, s := range stopped {
		nodes = append(nodes, s.StoppedNode)
		err = errors.Join(err, s.close())
	}
	return nodes, err
}

// PlanRecovery says what [Recover] would do, and changes nothing. Its errors are
// those of Recover; the plan is there with ErrRecoveryRefused, too.
func PlanRecovery(cfg RecoverConfig) (Recovery, error) { return recoverStopped(cfg, false) }

// Recover makes the replica with the longest log of those shown the only voter of
// its group, for each group that has lost the majority of its voters for ever. What
// the lost ones had acknowledged beyond that log is lost. Started again, the nodes
// go on from there: they take in new replicas on the nodes that lost theirs.
//
// All groups that are recovered on a node change at once, also if it crashes; where
// several directories are given, a second call goes on where the first one ended.
//
// Disks that were called lost must be destroyed. Nodes that come back with them are
// stopped by those that go on, as soon as they meet; until then they could serve
// what the cluster has given up.
//
// Errors: ErrConfig, ErrLocked, ErrNotWritable, ErrNewerFormat, ErrCorrupt,
// ErrOtherCluster, and ErrRecoveryRefused with the reason for each group.
func Recover(cfg RecoverConfig) (Recovery, error) { return recoverStopped(cfg, true) }

func recoverStopped(cfg RecoverConfig, do bool) (r Recovery, err error) {
	stopped, err := openStopped(cfg)
	defer func() {
		for _, s := range stopped {
			err = errors.Join(err, s.close())
		}
	}()
	if err != nil {
		return r, err
	}
	if r, err = plan(cfg, stopped); err != nil || !do {
		return r, err
	}
	for _, s := range stopped {
		if err := s.recover(r.Groups); err != nil {
			return r, err
		}
	}
	return r, nil
}

// stoppedNode is a directory that is held open.
type stoppedNode struct {
	StoppedNode
	lock io.Closer
	disk *raftlog.Stopped // nil: the node has no stores yet
}

func openStopped(cfg RecoverConfig) (stopped []*stoppedNode, err error) {
	if len(cfg.DataDirs) == 0 {
		return nil, fmt.Errorf("%w: no data directory of a node is given", ErrConfig)
	}
	if cfg.FS == nil {
		cfg.FS = vfs.Default
	}
	for _, dir := range cfg.DataDirs {
		s, err := openStoppedNode(cfg, dir)
		if err != nil {
			return stopped, err
		}
		stopped = append(stopped, s)
	}
	return stopped, nil
}

func openStoppedNode(cfg RecoverConfig, dir string) (_ *stoppedNode, err error) {
	if _, err := cfg.FS.Stat(cfg.FS.PathJoin(dir, nodeFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s is no data directory of a node: it has no file %q", ErrConfig, dir, nodeFile)
	}
	s := &stoppedNode{}
	if s.lock, err = lockDataDir(cfg.FS, dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	record, err := readNodeRecord(cfg.FS, dir)
	if err != nil {
		return nil, err
	}
	s.StoppedNode = StoppedNode{
		Format: reportFormat, Cluster: record.Cluster, Name: string(record.Name), DataDir: dir,
		Inspected: time.Now().UTC().Truncate(time.Second), Nodes: []string{}, Replicas: []raftlog.Replica{},
	}
	if l := record.Layout; l != nil {
		s.Layout = l.Version
		for _, name := range l.names() {
			s.Nodes = append(s.Nodes, string(name))
		}
	}
	logs := cfg.FS.PathJoin(dir, raftDir)
	if _, err := cfg.FS.Stat(logs); errors.Is(err, fs.ErrNotExist) && record.Cluster == "" {
		return s, nil // it was never started to its end
	}
	s.disk, err = raftlog.OpenStopped(raftlog.StoppedConfig{Self: record.Name, Dir: logs, FS: cfg.FS, Logger: cfg.Logger})
	if err != nil {
		return nil, startError(err)
	}
	s.Replicas = append(s.Replicas, s.disk.Replicas()...)
	return s, nil
}

func (s *stoppedNode) close() error {
	var err error
	if s.disk != nil {
		err = s.disk.Close()
	}
	return errors.Join(err, s.lock.Close())
}

// recover does what was chosen for this node, and notes it.
func (s *stoppedNode) recover(groups []GroupRecovery) error {
	var chosen []*GroupRecovery
	var recoveries []raftlog.Recovery
	for i, g := range groups {
		if g.Chosen && string(g.From.Server.Node()) == s.Name {
			chosen, recoveries = append(chosen, &groups[i]), append(recoveries, g.Recovery)
		}
	}
	if len(chosen) == 0 {
		return nil
	}
	ids, err := s.disk.Recover(recoveries)
	if err != nil {
		return startError(err)
	}
	for i, g := range chosen {
		g.Identity = ids[i]
	}
	return nil
}

// plan decides which groups are recovered.
func plan(cfg RecoverConfig, stopped []*stoppedNode) (Recovery, error) {
	var r Recovery
	here := make(map[string]bool)
	for _, s := range stopped {
		r.Nodes = append(r.Nodes, s.StoppedNode)
		here[s.Name] = true
	}
	r.Nodes = append(r.Nodes, cfg.Reports...)
	if err := r.checkNodes(cfg); err != nil {
		return r, err
	}
	var shown []raftlog.Shown
	for _, n := range r.Nodes {
		shown = append(shown, raftlog.Shown{Node: peer.NodeID(n.Name), Replicas: n.Replicas})
	}
	var lost []peer.NodeID
	for _, name := range cfg.Lost {
		lost = append(lost, peer.NodeID(name))
	}
	any := false
	for _, p := range raftlog.PlanRecovery(shown, lost) {
		g := GroupRecovery{GroupPlan: p}
		asked := len(cfg.Groups) == 0 || slices.Contains(cfg.Groups, uint32(p.Group))
		g.Chosen = asked && p.Need == raftlog.NeedRecovery && here[string(p.From.Server.Node())]
		any = any || g.Chosen
		r.Groups = append(r.Groups, g)
	}
	for _, id := range cfg.Groups {
		i := slices.IndexFunc(r.Groups, func(g GroupRecovery) bool { return uint32(g.Group) == id })
		if i < 0 {
			return r, fmt.Errorf("%w: group %d: none of the nodes shown has a replica of it", ErrRecoveryRefused, id)
		}
		if g := r.Groups[i]; !g.Chosen {
			return r, fmt.Errorf("%w: group %d: %s", ErrRecoveryRefused, id, g.reason())
		}
	}
	if !any {
		return r, fmt.Errorf("%w: nothing can be done here: %s", ErrRecoveryRefused, r.reasons())
	}
	return r, nil
}

// checkNodes says what is wrong with what was shown.
func (r *Recovery) checkNodes(cfg RecoverConfig) error {
	var names, known []string
	for _, n := range r.Nodes {
		switch {
		case n.Format != reportFormat:
			return fmt.Errorf("%w: the report of node %q has format %d, and this program knows %d", ErrConfig, n.Name, n.Format, reportFormat)
		case slices.Contains(names, n.Name):
			return fmt.Errorf("%w: node %s is shown twice", ErrConfig, n.Name)
		case n.Cluster != "" && r.Cluster != "" && n.Cluster != r.Cluster:
			return fmt.Errorf("%s: node %s %w: %s, not %s", n.DataDir, n.Name, ErrOtherCluster, n.Cluster, r.Cluster)
		}
		if n.Cluster != "" {
			r.Cluster = n.Cluster
		}
		names = append(names, n.Name)
		known = append(append(known, n.Name), n.Nodes...)
		for _, x := range n.Replicas {
			for _, s := range x.Servers {
				known = append(known, string(s.ID.Node()))
			}
		}
	}
	slices.Sort(known)
	for _, name := range cfg.Lost {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w: lost node %q: the nodes shown know of no such node, only of %s", ErrConfig, name, strings.Join(slices.Compact(known), ", "))
		}
	}
	return nil
}

// reason says why a group was not chosen.
func (g GroupRecovery) reason() string {
	if g.Need == raftlog.NeedRecovery {
		return fmt.Sprintf("%s has the longest log of those shown (it ends at %d of term %d): recover it there", g.From.Server.Node(), g.From.LastIndex, g.From.LastTerm)
	}
	return g.Why
}

// reasons says why no group was chosen, once for those of which the same is true.
func (r *Recovery) reasons() string {
	if len(r.Groups) == 0 {
		return "the nodes shown have no replicas"
	}
	var order []string
	groups := make(map[string][]uint32)
	for _, g := range r.Groups {
		why := g.reason()
		if groups[why] == nil {
			order = append(order, why)
		}
		groups[why] = append(groups[why], uint32(g.Group))
	}
	for i, why := range order {
		order[i] = fmt.Sprintf("%s: %s", groupNames(groups[why]), why)
	}
	return strings.Join(order, "; ")
}

// groupNames names groups for people: "group 3", "groups 0-4, 7".
func groupNames(ids []uint32) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		part := fmt.Sprint(ids[i])
		if j > i {
			part = fmt.Sprintf("%d-%d", ids[i], ids[j])
		}
		parts = append(parts, part)
		i = j + 1
	}
	if len(ids) == 1 {
		return "group " + parts[0]
	}
	return "groups " + strings.Join(parts, ", ")
}
