// Package peer carries messages between the nodes of a cluster.
//
// [Network] is all that the layers above know: ask another node, be asked. Real
// nodes use [TCP], one connection to each peer for everything, with three
// classes of priority; the simulation puts a network of its own in its place and
// loses, delays, doubles and reorders messages.
package peer
