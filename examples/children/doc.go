// Command children shows orchestrations that are made of orchestrations.
//
//	go run ./examples/children
//
// A release goes to one region first, and where that went well to all others at
// once. Bringing it to a region is an orchestration of its own: it has an ID, a
// status and a history, lives in its own partition on whatever node leads that, and
// can be looked at, waited for and terminated like any other. The parent sees its
// result or its error. So one part that is large, or that other programs use too,
// does not make the history of the whole longer.
package main
