package freeaddr

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are taken below the range from which systems give out ports for outgoing
// connections: they are not taken between the search and the use, and a node that was
// killed finds its own free when it comes back.
const (
	lowestPort  = 15000
	highestPort = 30000
)

var (
	givenMu sync.Mutex
	given   = map[int]bool{} // by this process; guarded by givenMu
)

// Loopback returns an address whose port nobody has, for TCP and UDP, and that it has
// not returned before.
func Loopback() (string, error) {
	givenMu.Lock()
	defer givenMu.Unlock()
	var err error
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		if given[port] {
			continue
		}
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if err = Check(addr); err == nil {
			given[port] = true
			return addr, nil
		}
	}
	return "", fmt.Errorf("find a free port from %d to %d: %w", lowestPort, highestPort, err)
}

// Check returns an error if somebody has the address, for TCP or UDP.
func Check(addr string) error {
	t, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	defer t.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return err
	}
	return u.Close()
}
