// Command chaining shows the simplest pattern: steps one after the other, each with
// the result of the one before.
//
//	go run ./examples/chaining
//
// An order is paid, packed and announced to the customer. Each step is an activity:
// it runs at least once, on any node, and its result is recorded exactly once. If
// the node dies between two steps, another one takes over behind the last recorded
// result; if it dies within a step, the step is attempted again. So that the card
// is charged once, the activity hands the idempotency key of its attempt to the
// card company. main_test.go kills a node after the card was charged and before
// anybody knew.
package main
