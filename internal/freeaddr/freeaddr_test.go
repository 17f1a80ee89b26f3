package freeaddr

import (
	"net"
	"testing"
)

// An address is free, given once, and not free while somebody has it, for TCP or UDP.
func TestLoopback(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		addr, err := Loopback()
		if err != nil {
			t.Fatal(err)
		}
		if seen[addr] {
			t.Fatalf("%s was given twice", addr)
		}
		seen[addr] = true
	}
	for _, network := range []string{"tcp", "udp"} {
		addr, err := Loopback()
		if err != nil {
			t.Fatal(err)
		}
		var held interface{ Close() error }
		if network == "tcp" {
			held, err = net.Listen(network, addr)
		} else {
			held, err = net.ListenPacket(network, addr)
		}
		if err != nil {
			t.Fatalf("%s %s was given and is not free: %v", network, addr, err)
		}
		if Check(addr) == nil {
			t.Errorf("%s is held for %s and counts as free", addr, network)
		}
		if err := held.Close(); err != nil {
			t.Error(err)
		}
	}
}
