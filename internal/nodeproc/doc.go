// Package nodeproc sets up the Go runtime of a process that is a node and nothing
// else. A program that only embeds a node has its own wishes, and is left alone.
package nodeproc
