// Package cluster is a node: membership, layout, routing, the dispatch of
// activities and of episodes between nodes, and the wiring of everything that a
// node is made of.
//
// [Start] starts a node on a data directory; package embedded also serves its clients, in
// one call. Any node takes any request; it
// forwards it once, to the leader of the instance's partition.
//
// The layout is desire, the Raft groups are fact. A small system group holds the
// layout: which nodes there are, which partitions, and on which nodes each is to
// have its replicas. The leader of each group moves the group's own Raft
// configuration towards that, one change at a time. Gossip tells who is there
// and where to dial; it is a hint and never truth, so it can lose no data.
package cluster
