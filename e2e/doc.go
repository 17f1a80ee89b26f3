// Package e2e hurts a cluster of real node processes and judges from outside
// what became of the work; and it meets the built program as a user does.
//
// # The storm
//
// The activities of its orchestrations write to a ledger in the test process,
// which no node can touch otherwise. After the storm every start that was
// acknowledged must have ended with the right result, recorded exactly once in
// its history, and the ledger must know of every recorded effect. A start without
// an answer may or may not have happened; if it did, the same holds for it.
//
//	go test -timeout 60m ./e2e -storm=20m -kills=300
//
// The seed of the storm is printed first; it fixes who is killed and when, not
// how the processes interleave.
//
// # The program
//
// The other tests build the reprise program and run its commands: what they
// print, how they end, what they refuse and what they say then; one node that
// becomes three, TLS, the demo, and the Durable Task protocol byte by byte. They
// run two at a time, in less than a minute; with -short, those that start three
// nodes are left out.
package e2e
