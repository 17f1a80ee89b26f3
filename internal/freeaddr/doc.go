// Package freeaddr finds addresses on loopback at which nodes can listen: for local
// clusters, and for tests.
package freeaddr
