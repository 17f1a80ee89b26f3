package engine

import (
	"bytes"
	"runtime"
	"strconv"
	"unsafe"
)

// owner knows the goroutine of the user's coroutine. It only serves to tell
// users that they wait on a wrong one; nothing is decided by it.
type owner struct {
	id uint64
	// frame is where a local variable of calling lay on the owner's stack when it
	// was asked last. While that stack lives, no other goroutine's variable lies
	// there, and an orchestrator mostly waits at the same depth.
	frame uintptr
}

// here makes the calling goroutine the owner.
func (o *owner) here() { *o = owner{id: goroutineID()} }

// calling reports whether the calling goroutine is the owner. Its number, which
// takes microseconds to learn, is asked for only where the frame is a new one.
//
//go:noinline
func (o *owner) calling() bool {
	var local byte
	frame := uintptr(unsafe.Pointer(&local))
	if frame == o.frame {
		return true
	}
	if goroutineID() != o.id {
		return false
	}
	o.frame = uintptr(unsafe.Pointer(&local)) // the stack may have moved
	return true
}

// goroutineID returns the number of the calling goroutine.
func goroutineID() uint64 {
	var buf [40]byte
	text := bytes.TrimPrefix(buf[:runtime.Stack(buf[:], false)], []byte("goroutine "))
	digits, _, _ := bytes.Cut(text, []byte(" "))
	id, _ := strconv.ParseUint(string(digits), 10, 64)
	return id
}
