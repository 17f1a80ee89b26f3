// Command saga shows steps that are undone where a later one fails.
//
//	go run ./examples/saga
//
// A trip is a seat, a room and a payment, at three companies that know nothing of
// each other: there is no transaction over them. Each step names what undoes it. If
// the trip cannot be had as a whole, the steps are undone, newest first, also where
// nodes die meanwhile; main_test.go kills one after it has paid the money back and
// before anybody knew.
//
// A step is also undone where nobody knows whether it was done (it timed out, say).
// So what undoes a step tolerates that there is nothing to undo.
package main
