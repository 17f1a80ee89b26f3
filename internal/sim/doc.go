// Package sim runs whole clusters in one process, in false time, and hurts
// them: nodes with real Raft and real Pebble on disks that can crash, a network
// that loses and doubles, clocks that are wrong, of nodes and of callers.
//
// A run makes a [World], lets a workload of random orchestrations and a nemesis
// work on it for some hours of simulated time, heals it, and asks the checkers
// of docs/guarantees.md: every acknowledged start ended with the right result (G1), the
// starts of an ID are linearizable (G2, G10), replicas are equal byte for byte
// and reads are prefixes of later reads (G3), each activity ran and was recorded
// once (G4), no timer fired early or twice (G6), and stale entries were refused
// (G7). A run in which too little happened is void.
//
// The seed fixes the faults and the workload, not the interleaving of
// goroutines: a seed that failed fails again often, not always.
package sim
