// Package history is the language that every part of Reprise speaks: instance
// IDs, statuses, failure details, and the events that make up the history of an
// orchestration.
//
// What an orchestrator decides is a history event; there is no second
// vocabulary of commands. An [Event] has one [Body]; the set of bodies is sealed
// and its names are those of the Durable Task model. An [Episode] is what one
// pass of an orchestrator decided.
//
// The package also holds the stored form of events (msgpack, versioned, with
// golden files) and the hash that maps an instance to its slot.
package history
