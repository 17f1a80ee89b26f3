// Command callback shows an activity that somebody else completes, hours or weeks
// later: another system that calls back, or a person.
//
//	go run ./examples/callback
//
// A sample goes to a laboratory together with a token. Then the activity ends
// without an outcome, and no node is needed until the laboratory calls with the token
// and the result. An event (examples/approval) says something to an orchestration;
// a token is the result of one step, which can have a time limit, fail and be
// attempted again like any other.
//
// If the node dies before it is recorded that the activity waits, there is another
// attempt with a token of its own, and the first one is refused. So whoever gets
// tokens keeps the newest for each idempotency key.
package main
