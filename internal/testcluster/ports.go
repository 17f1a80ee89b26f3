package testcluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Ports are taken below the range from which systems give out ports for outgoing
// connections: a node that was killed must find its own port free when it comes
// back.
const (
	lowestPort  = 15000
	highestPort = 30000
)

var (
	portsMu sync.Mutex
	given   = map[int]bool{} // by this process; guarded by portsMu
)

// FreeAddr returns a loopback address whose port nobody has, for TCP and UDP, and that
// it has not returned before.
func FreeAddr() (string, error) {
	portsMu.Lock()
	defer portsMu.Unlock()
	for range 1000 {
		port := lowestPort + rand.IntN(highestPort-lowestPort)
		addr := fmt.Sprintf("127.0.0.1:%d", port)
		if !given[port] && free(addr) {
			given[port] = true
			return addr, nil
		}
	}
	return "", errors.New("find a free port: none of 1000 tried is")
}

func free(addr string) bool {
	t, err := net.Listen("tcp", addr)
	if err != nil {
		return false
	}
	defer t.Close()
	u, err := net.ListenPacket("udp", addr)
	if err != nil {
		return false
	}
	u.Close()
	return true
}
