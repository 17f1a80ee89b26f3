// Command reprise runs a node of a cluster, a local cluster, or asks a cluster.
//
// Exit codes: 0 completed, 1 the orchestration failed, was cancelled or
// terminated, 2 usage, 3 not found, 4 cluster not reachable, 5 refused, 6
// timeout, 7 disk or store. The commands are one file each; settings.go reads
// flags, environment and configuration file; processes.go runs nodes as child
// processes, for up and demo.
package main
