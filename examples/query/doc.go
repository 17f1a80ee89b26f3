// Command query shows an orchestration whose state is in the variables of its code,
// and how callers look at it.
//
//	go run ./examples/query
//
// A cart lives for as long as its customer shops. What is put into it comes as
// events, and a query tells what is in it. There is no table of carts: the code keeps
// its variables between the events, and where a node dies another one has them from
// the history. A query changes nothing, records nothing and sees only what no crash
// can undo. docs/asking.md has the rules.
package main
