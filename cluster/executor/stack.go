package executor

// growStack makes room on the stack of a goroutine that has just begun. User code
// behind a JSON decoder needs more than the 2 KiB that a goroutine begins with, and to
// double them twice in the depth of it, with all frames to be copied and corrected, was
// a twentieth of the processor time of a node.
//
//go:noinline
func growStack() byte {
	var room [4 << 10]byte
	return room[zero&(len(room)-1)]
}

// zero keeps the compiler from knowing which byte is meant.
var zero int
