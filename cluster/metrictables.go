package cluster

import (
	"github.com/cockroachdb/pebble/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/reprise-run/reprise/partition"
	"github.com/reprise-run/reprise/partition/leader"
	"github.com/reprise-run/reprise/raftlog"
)

// metric is a figure that is read from a T when somebody asks for it.
type metric[T any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(T) float64
}

func counter[T any](name, help string, read func(T) float64, labels ...string) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.CounterValue, read}
}

func gauge[T any](name, help string, read func(T) float64, labels ...string) metric[T] {
	return metric[T]{prometheus.NewDesc(name, help, labels, nil), prometheus.GaugeValue, read}
}

func describe[T any](to chan<- *prometheus.Desc, all []metric[T]) {
	for _, m := range all {
		to <- m.desc
	}
}

func collect[T any](to chan<- prometheus.Metric, all []metric[T], from T, labels ...string) {
	for _, m := range all {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.read(from), labels...)
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

const ofPartition = "partition"

// nodeMetrics are those of a node as a whole.
var nodeMetrics = []metric[*Node]{
	gauge("reprise_members", "Nodes that this one sees, itself included.", func(n *Node) float64 { return float64(len(n.members.Members())) }),
	gauge("reprise_clock_ahead_seconds", "How far the node's clock is ahead of the median of all; 0 where that is not known.", func(n *Node) float64 { return n.clocks.state().Ahead.Seconds() }),
	gauge("reprise_groups_leaderless", "Groups with a replica here that know no leader.", func(n *Node) float64 { return float64(len(n.leaderlessGroups())) }),
	gauge("reprise_activity_slots", "How many attempts of activities may run here at a time.", func(n *Node) float64 { return float64(n.cfg.Activities) }),
	gauge("reprise_attempts_running", "Attempts of activities that run here.", func(n *Node) float64 { return float64(n.worker.load()) }),
	gauge("reprise_results_held", "Results of activities that no leader has recorded yet.", func(n *Node) float64 { return float64(n.worker.held()) }),
	counter("reprise_stale_attempts_total", "Attempts that this node refused to run, because the epoch of the leader that wanted them was over.", func(n *Node) float64 { return float64(n.worker.staleWork()) }),
	gauge("reprise_executions_kept", "Executions that are kept in memory between episodes.", func(n *Node) float64 { e, _ := n.kept(); return float64(e) }),
	gauge("reprise_executions_kept_bytes", "The bytes of their histories.", func(n *Node) float64 { _, b := n.kept(); return float64(b) }),
	gauge("reprise_episodes_stuck", "Episodes that have not yielded for longer than ten seconds.", func(n *Node) float64 { return float64(n.stuck()) }),
	gauge("reprise_activities_abandoned", "Functions of activities that run on although their attempt is over.", func(n *Node) float64 { return float64(n.abandoned()) }),
	counter("reprise_spans_dropped_total", "Spans that were not told, because more than 4,096 waited.", func(n *Node) float64 { return float64(n.spans.lost()) }),
	counter("reprise_stale_entries_total", "Entries of leaders that were none any more, refused when they were applied.", func(n *Node) float64 { return float64(n.host.StaleRejected()) }),
	gauge("reprise_disk_late", "1 while a write or an fsync takes longer than a quarter of the time after which the node gives its disk up.", func(n *Node) float64 { return truth(n.host.DiskLate()) }),
}

// partitionMetrics are what leaders on this node have done, those of before included.
var partitionMetrics = []metric[leader.Stats]{
	counter("reprise_turns_total", "Turns: episodes recorded, and ends made by the server.", func(s leader.Stats) float64 { return float64(s.Turns) }, ofPartition),
	counter("reprise_mail_stored_total", "Mail stored in inboxes, because its turn did not come soon.", func(s leader.Stats) float64 { return float64(s.Spilled) }, ofPartition),
	counter("reprise_letters_delivered_total", "Mail from other instances that was delivered.", func(s leader.Stats) float64 { return float64(s.Letters) }, ofPartition),
	counter("reprise_stale_results_total", "Results of activities that were refused as stale.", func(s leader.Stats) float64 { return float64(s.StaleResults) }, ofPartition),
	counter("reprise_late_episodes_total", "Episodes that came back to an instance that had ended.", func(s leader.Stats) float64 { return float64(s.LateEpisodes) }, ofPartition),
}

// ledMetrics are those of the leaders that are on this node now.
var ledMetrics = []metric[leader.Stats]{
	gauge("reprise_leading", "1 for each partition that this node leads.", func(leader.Stats) float64 { return 1 }, ofPartition),
	gauge("reprise_entries_in_flight", "Entries proposed and not applied.", func(s leader.Stats) float64 { return float64(s.InFlight) }, ofPartition),
	gauge("reprise_instances_loaded", "Instances in the leader's memory.", func(s leader.Stats) float64 { return float64(s.Instances) }, ofPartition),
	gauge("reprise_instances_runnable", "Instances that wait for a turn.", func(s leader.Stats) float64 { return float64(s.Runnable) }, ofPartition),
	gauge("reprise_episodes_running", "Episodes that run.", func(s leader.Stats) float64 { return float64(s.Episodes) }, ofPartition),
	gauge("reprise_attempts_dispatched", "Attempts of activities that nodes have been given and whose result has not come.", func(s leader.Stats) float64 { return float64(s.Attempts) }, ofPartition),
	gauge("reprise_attempts_queued", "Attempts that wait in memory for a node with room.", func(s leader.Stats) float64 { return float64(s.QueuedTasks) }, ofPartition),
	gauge("reprise_timers_loaded", "Timers in the leader's memory: those that are due first.", func(s leader.Stats) float64 { return float64(s.Timers) }, ofPartition),
	gauge("reprise_waiters", "Callers who wait for an instance.", func(s leader.Stats) float64 { return float64(s.Waiters) }, ofPartition),
	gauge("reprise_watchers", "Callers who watch an instance.", func(s leader.Stats) float64 { return float64(s.Watchers) }, ofPartition),
	gauge("reprise_outbox_letters", "Letters to other partitions that these have not recorded yet.", func(s leader.Stats) float64 { return float64(s.Outbox) }, ofPartition),
}

var (
	timersArmed     = gauge("reprise_timers_armed", "Timers that are armed: of orchestrations, of retries and limits of activities, of scheduled starts and operations.", func(s leader.Stats) float64 { return float64(s.Counts.Timers) }, ofPartition)
	instancesParked = prometheus.NewDesc("reprise_instances_parked", "Instances that are parked, by reason.", []string{ofPartition, "reason"}, nil)
)

// collectCounts tells of the rows of a partition, where its leader knows them.
func collectCounts(to chan<- prometheus.Metric, s leader.Stats, p string) {
	if !s.Counted {
		return
	}
	collect(to, []metric[leader.Stats]{timersArmed}, s, p)
	for why, n := range s.Counts.Parked {
		if why := partition.Why(why); why != partition.NotParked {
			to <- prometheus.MustNewConstMetric(instancesParked, prometheus.GaugeValue, float64(n), p, why.String())
		}
	}
}

// raftMetrics are those of the replicas on this node. Partition 0 is the system group.
var raftMetrics = []metric[raftlog.Stats]{
	gauge("reprise_raft_term", "The newest term.", func(s raftlog.Stats) float64 { return float64(s.Term) }, ofPartition),
	gauge("reprise_raft_leader", "1 where this replica leads.", func(s raftlog.Stats) float64 { return truth(s.Role == "leader") }, ofPartition),
	gauge("reprise_raft_leader_known", "1 where this replica knows a leader.", func(s raftlog.Stats) float64 { return truth(s.Leader != "") }, ofPartition),
	gauge("reprise_raft_contact_seconds", "How long ago the leader was heard of; 0 of the leader, -1 where it never was.", func(s raftlog.Stats) float64 { return contact(s) }, ofPartition),
	gauge("reprise_raft_applied_index", "The newest applied index of the log.", func(s raftlog.Stats) float64 { return float64(s.Applied) }, ofPartition),
	gauge("reprise_raft_commit_index", "The newest index that is known to be committed.", func(s raftlog.Stats) float64 { return float64(s.Commit) }, ofPartition),
	gauge("reprise_raft_last_index", "The newest index of the log.", func(s raftlog.Stats) float64 { return float64(s.LastIndex) }, ofPartition),
	gauge("reprise_raft_log_bytes", "The size of the log, about.", func(s raftlog.Stats) float64 { return float64(s.LogBytes) }, ofPartition),
	gauge("reprise_raft_voters", "Voters of the newest configuration.", func(s raftlog.Stats) float64 { return voters(s) }, ofPartition),
	gauge("reprise_raft_quarantined", "1 where the replica is in quarantine, because its state differs from that of the majority.", func(s raftlog.Stats) float64 { return truth(s.Quarantined != "") }, ofPartition),
	counter("reprise_raft_elections_total", "Elections that this replica began.", func(s raftlog.Stats) float64 { return float64(s.Elections) }, ofPartition),
	counter("reprise_raft_reigns_total", "Reigns of this replica.", func(s raftlog.Stats) float64 { return float64(s.Reigns) }, ofPartition),
	counter("reprise_raft_snapshots_installed_total", "Snapshots that this replica installed.", func(s raftlog.Stats) float64 { return float64(s.Installs) }, ofPartition),
}

func contact(s raftlog.Stats) float64 {
	if s.Contact < 0 {
		return -1
	}
	return s.Contact.Seconds()
}

func voters(s raftlog.Stats) float64 {
	count := 0.0
	for _, server := range s.Servers {
		count += truth(server.Voter)
	}
	return count
}

const ofStore = "store"

// storeMetrics are a choice of Pebble's.
var storeMetrics = []metric[*pebble.Metrics]{
	gauge("reprise_store_disk_bytes", "What the store takes of the disk.", func(m *pebble.Metrics) float64 { return float64(m.DiskSpaceUsage()) }, ofStore),
	gauge("reprise_store_memtable_bytes", "Its memtables.", func(m *pebble.Metrics) float64 { return float64(m.MemTable.Size) }, ofStore),
	gauge("reprise_store_wal_bytes", "What its write-ahead log takes of the disk.", func(m *pebble.Metrics) float64 { return float64(m.WAL.PhysicalSize) }, ofStore),
	counter("reprise_store_wal_written_bytes_total", "Written to its write-ahead log.", func(m *pebble.Metrics) float64 { return float64(m.WAL.BytesWritten) }, ofStore),
	counter("reprise_store_flushes_total", "Memtables written out.", func(m *pebble.Metrics) float64 { return float64(m.Flush.Count) }, ofStore),
	counter("reprise_store_compactions_total", "Compactions.", func(m *pebble.Metrics) float64 { return float64(m.Compact.Count) }, ofStore),
	gauge("reprise_store_compactions_running", "Compactions that run.", func(m *pebble.Metrics) float64 { return float64(m.Compact.NumInProgress) }, ofStore),
	gauge("reprise_store_compaction_debt_bytes", "What is to be compacted until the store is in shape.", func(m *pebble.Metrics) float64 { return float64(m.Compact.EstimatedDebt) }, ofStore),
	gauge("reprise_store_l0_sublevels", "Layers of new tables; writes stop where they are too many.", func(m *pebble.Metrics) float64 { return float64(m.Levels[0].Sublevels) }, ofStore),
	gauge("reprise_store_read_amplification", "How many places a read has to look at.", func(m *pebble.Metrics) float64 { return float64(m.ReadAmp()) }, ofStore),
	counter("reprise_store_ingests_total", "Tables that were ingested: snapshots of other replicas.", func(m *pebble.Metrics) float64 { return float64(m.Ingest.Count) }, ofStore),
	gauge("reprise_store_cache_bytes", "The block cache, which both stores share.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Size) }, ofStore),
	counter("reprise_store_cache_hits_total", "Blocks found in it.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Hits) }, ofStore),
	counter("reprise_store_cache_misses_total", "Blocks not found in it.", func(m *pebble.Metrics) float64 { return float64(m.BlockCache.Misses) }, ofStore),
}
