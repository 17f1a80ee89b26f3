package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
)

// A node that does not serve says in its log what it waits for: soon enough for
// whoever watches it start, and seldom enough for whoever does not.
const (
	waitingPace   = 5 * time.Second // how often it looks
	firstReminder = 10 * time.Second
	reminderPause = time.Minute
)

// waiting is what a node waits for; the zero value is nothing.
type waiting struct {
	message string
	details []any // for slog
}

// watchWaiting says what the node waits for, until ctx is done.
func (n *Node) watchWaiting(ctx context.Context) {
	ticker := time.NewTicker(waitingPace)
	defer ticker.Stop()
	var (
		message     string    // what it waits for, "" for nothing
		since, said time.Time // when that began; when it was last said, zero if never
		told        bool      // that it waits, and not yet that it waits no more
	)
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now, w := time.Now(), n.waitsFor(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case w.message != message:
			message, since, said = w.message, now.Add(-waitingPace), time.Time{} // it began after the last look
			if message == "" && told {
				told = false
				n.log.Info("this node waits no more")
			}
		case message != "" && now.Sub(since) >= firstReminder && now.Sub(said) >= reminderPause:
			n.log.Warn(message, w.details...)
			said, told = now, true
		}
	}
}

// waitsFor returns what keeps this node from serving.
func (n *Node) waitsFor(ctx context.Context) waiting {
	record := n.data.get()
	n.mu.Lock()
	why := n.unsettled
	n.mu.Unlock()
	switch {
	case record.Cluster != "":
		return n.waitsForLeaders(ctx)
	case record.Founding != nil:
		switch f := record.Founding; {
		case why != nil:
		case f.Proposer != n.self && f.Servers == nil:
			why = fmt.Errorf("this node agreed, and has not heard from %s whether the cluster is founded", f.Proposer)
		default:
			why = errors.New("it is under way")
		}
		return waiting{
			"the founding of the cluster waits for a node; start it, with an empty data directory if its disk is lost. If it will never come back, stop these nodes, delete their data directories, which hold nothing yet, and start anew",
			[]any{"nodes", record.Founding.Layout.names(), "proposer", record.Founding.Proposer, "why", why},
		}
	}
	var seen []peer.NodeID
	for _, m := range n.members.Members() {
		seen = append(seen, m.Name)
	}
	slices.Sort(seen)
	if why == nil {
		nodes, err := n.candidates()
		switch {
		case n.cfg.BootstrapExpect < 1:
			err = fmt.Errorf("it sees no node of a cluster, and with bootstrap-expect 0 it founds none")
		case err == nil:
			err = fmt.Errorf("%s has not proposed the cluster yet", nodes[0].Name)
		}
		why = err
	}
	return waiting{
		"this node belongs to no cluster yet and waits for other nodes; are they started, and do they gossip at the addresses to join?",
		[]any{"bootstrap-expect", n.cfg.BootstrapExpect, "sees", seen, "join", n.seeds(record), "why", why},
	}
}

// waitsForLeaders names the groups that nobody leads, as far as this node can
// find out, and the nodes that it does not see.
func (n *Node) waitsForLeaders(ctx context.Context) waiting {
	d, err := n.Describe(ctx)
	if err != nil {
		return waiting{"this node does not know the layout of its cluster yet", []any{"why", err}}
	}
	var groups, dead, silent []string
	for _, p := range d.Partitions {
		switch {
		case p.Leader != "":
		case p.ID == systemGroup:
			groups = append(groups, "system")
		default:
			groups = append(groups, fmt.Sprint(p.ID))
		}
	}
	if len(groups) == 0 {
		return waiting{}
	}
	for _, node := range d.Nodes {
		switch {
		case node.State == NodeDead:
			dead = append(dead, node.Name)
		case !n.informedOf(peer.NodeID(node.Name)):
			silent = append(silent, node.Name)
		}
	}
	return waiting{
		"partitions have no leader that this node knows of; requests for them wait. A partition needs most of its nodes",
		[]any{"partitions", strings.Join(groups, " "), "not-seen", dead, "no-answer", silent},
	}
}

// informedOf reports whether the process of a node that is alive has told what it
// is.
func (n *Node) informedOf(name peer.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[name]
	return k != nil && k.alive && k.informed
}
