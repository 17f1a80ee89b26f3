// Command updates shows a running orchestration that its callers change, and that
// answers them.
//
//	go run ./examples/updates
//
// A lot is sold by auction. An event (examples/approval) says something to an
// orchestration, a query (examples/query) looks at it; a bid is both, and an update: it
// changes the price, its caller gets the new price or learns why the bid does not
// count, and of two bids one is first. A bid that is refused leaves no trace.
//
// An update happens once. Where a node dies the caller does not know whether its bid
// has counted: the client asks again, and gets the reply to the first bid. That the
// lot is sold is an update as well, one that takes time: the orchestrator charges the
// winner first, and replies then. docs/asking.md has the rules.
package main
