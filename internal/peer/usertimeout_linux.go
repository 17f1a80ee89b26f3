package peer

import (
	"net"
	"syscall"
	"time"
)

// setUserTimeout bounds how long sent data may stay without acknowledgement.
func setUserTimeout(c *net.TCPConn, d time.Duration) error {
	const tcpUserTimeout = 18 // TCP_USER_TIMEOUT of Linux
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
	})
	if err != nil {
		return err
	}
	return set
}
