//go:build !linux

package peer

import (
	"net"
	"time"
)

// setUserTimeout does nothing where the system has no such option: keepalive and
// write deadlines notice a dead connection later.
func setUserTimeout(*net.TCPConn, time.Duration) error { return nil }
