// Command eternal shows an orchestration that never ends by itself: the same work
// every so often, for years.
//
//	go run ./examples/eternal
//
// After each round it continues as new: the history of the round is dropped and the
// next one begins with the state that is handed over, under the same ID. So it
// stays small however long it lives. An event ends it; it is kept if it comes
// between two rounds.
package main
