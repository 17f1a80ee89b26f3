package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	severe  bool  // it will not end by itself
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
			level := slog.LevelWarn
			if w.severe {
				level = slog.LevelError
			}
			n.log.Log(ctx, level, message, w.details...)
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
			message: "the founding of the cluster waits for a node; start it, with an empty data directory if its disk is lost. If it will never come back, stop these nodes, delete their data directories, which hold nothing yet, and start anew",
			details: []any{"nodes", record.Founding.Layout.names(), "proposer", record.Founding.Proposer, "why", why},
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
		message: "this node belongs to no cluster yet and waits for other nodes; are they started, and do they gossip at the addresses to join?",
		details: []any{"bootstrap-expect", n.cfg.BootstrapExpect, "sees", seen, "join", n.seeds(record), "why", why},
	}
}

// waitsForLeaders names the groups that nobody leads: those of which this node has a
// replica, or else those that it cannot find a leader for.
func (n *Node) waitsForLeaders(ctx context.Context) waiting {
	if silent := n.leaderlessGroups(); len(silent) > 0 {
		return n.whyLeaderless(ctx, silent)
	}
	d, err := n.Describe(ctx)
	if err != nil {
		return waiting{message: "this node does not know the layout of its cluster yet", details: []any{"why", err}}
	}
	var unled []uint32
	for _, p := range d.Partitions {
		if p.Leader == "" {
			unled = append(unled, p.ID)
		}
	}
	if len(unled) == 0 {
		return waiting{}
	}
	return waiting{
		message: "groups have no leader that this node knows of; requests for them wait",
		details: []any{"where", groupNames(unled)},
	}
}
