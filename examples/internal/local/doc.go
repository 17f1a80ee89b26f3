// Package local is what the examples' main functions have in common: a node in
// this process on a temporary directory, with a client of it.
//
// A real program keeps its directory, runs on several machines and stops when it is
// told to; examples/embedded is one.
package local
