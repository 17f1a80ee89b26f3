package testcluster

import (
	"errors"
	"os"
	"time"
)

// Usage is what a process took of the machine.
type Usage struct {
	CPU          time.Duration // user and system, since the process began
	PeakRSSBytes int64         // since the process began or [Node.ResetPeak]
	WrittenBytes int64         // handed to the disk, since the process began
}

// ErrUsageUnknown: this system does not tell what a process uses.
var ErrUsageUnknown = errors.New("what a process uses is known on Linux only")

// Usage tells what the node's process took of the machine; zero where none runs.
func (n *Node) Usage() (Usage, error) {
	pid := n.pid()
	if pid == 0 {
		return Usage{}, nil
	}
	return usageOf(pid)
}

// OwnUsage tells what this process took of the machine.
func OwnUsage() (Usage, error) { return usageOf(os.Getpid()) }

// ResetPeak makes the present size the peak.
func (n *Node) ResetPeak() error {
	pid := n.pid()
	if pid == 0 {
		return nil
	}
	return resetPeak(pid)
}
