// Package executor runs user code on a node: orchestrators for the partitions
// that the node leads ([Orchestrators]), and activities for whoever dispatches
// them ([Activities]).
//
// Orchestrators keep executions between episodes in a cache that is bounded by
// count and by the bytes of their histories, and rebuild one from its history
// when it is not there or is not exactly as old as the request says. Every
// episode runs on a goroutine of its own, so an orchestrator that blocks on
// something foreign, or loops, blocks nobody else: the episode is given up after
// a limit, it is listed with its stack, and that execution is not run again
// before the goroutine is back.
package executor
