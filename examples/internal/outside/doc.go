// Package outside stands for the world that the examples' activities act on: a
// card company, a warehouse, a mail server.
//
// [Service] is that world, a web server that does what it is asked once for each
// idempotency key, as payment services do. [World] is the activities' way to it:
// it hands over the idempotency key of the attempt. Together they show what an
// activity needs, so that what it does happens once although it may run twice.
package outside
