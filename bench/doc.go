// Package bench measures Reprise on a cluster of separate node processes on
// loopback, with every commit on disk, and the client in a process of its own:
//
//	go test -bench . ./bench
//
// The workloads are functions here, bound in node processes that are this test
// binary again (internal/testcluster). W0 is the limit to hold everything
// against: the raw replicated log carrying as many bytes, with no engine on top.
// README.md has the flags, the rules and the results.
package bench
