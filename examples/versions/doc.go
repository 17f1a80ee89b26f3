// Command versions shows how code changes while orchestrations run it.
//
//	go run ./examples/versions
//
// An order is charged, packed and shipped, and the packing may take weeks. Then there
// is a second release of the program. Orders are to be paid when they are packed: that
// is another course of things, and so another version of the orchestrator, bound
// beside the old one, which goes on with the orders that it began. And whoever is
// charged before anything is packed is to be told so: that is one step more, which a
// patch puts into the old version. Orders that went past that place do not get it.
//
// An instance has the version that it was started with to its end. main_test.go puts
// the second release on one node after the other, each after a kill, while an order of
// the first one waits. docs/versions.md has the rules.
package main
