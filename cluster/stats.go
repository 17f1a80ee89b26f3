package cluster

import "github.com/reprise-run/reprise/partition/leader"

// Stats are counters of a node since its start, for people, metrics and tests.
type Stats struct {
	// Fsyncs is how many fsyncs the stores have done.
	Fsyncs uint64
	// StaleEntries counts log entries that were refused at apply, because the
	// leader that wrote them was none any more.
	StaleEntries uint64
	// StaleWork counts attempts of activities that this node refused to run,
	// because a leader of an epoch that was over wanted them.
	StaleWork uint64
	// Leading is how many partitions the node leads now, Instances how many
	// instances their leaders have in memory.
	Leading, Instances int
	// Work is what the leaders on this node have done.
	Work Work
}

// Work counts what leaders have done.
type Work struct {
	Turns        uint64 // episodes recorded, and ends made by the server
	Entries      uint64 // proposed
	EntryBytes   uint64 // proposed
	StaleResults uint64 // results of activities refused as stale
	LateEpisodes uint64 // episodes that came back to an instance that had ended
	Parked       uint64 // times that an instance was parked
}

func (w *Work) add(s leader.Stats) {
	w.Turns += s.Turns
	w.Entries += s.Entries
	w.EntryBytes += s.EntryBytes
	w.StaleResults += s.StaleResults
	w.LateEpisodes += s.LateEpisodes
	w.Parked += s.Parked
}

// Stats returns the node's counters.
func (n *Node) Stats() Stats {
	s := Stats{Fsyncs: n.host.Fsyncs(), StaleEntries: n.host.StaleRejected(), StaleWork: n.worker.staleWork()}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, past := range n.retired {
		s.Work.add(past)
	}
	for _, r := range n.replicas {
		if r.leader == nil {
			continue
		}
		now := r.leader.Stats()
		s.Leading++
		s.Instances += now.Instances
		s.Work.add(now)
	}
	return s
}
