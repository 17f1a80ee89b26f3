package peer

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A hello is the first frame in each direction of a connection:
//
//	"reprise" · version 1 · incarnation 8 · cluster · from · to · refusal
//
// where each text has a length in 2 bytes before it. The refusal is empty where
// the connection is welcome.
type hello struct {
	incarnation uint64
	cluster     string // empty: belongs to none yet
	from, to    NodeID // to is empty where the dialler does not know it
	refusal     string
}

const (
	helloMagic    = "reprise"
	helloVersion  = 1
	maxHelloBytes = 2048
)

// ErrRefused: the node refuses to talk to this one; the wrapping error says why.
// It comes together with [ErrUnreachable].
var ErrRefused = errors.New("connection refused by the node")

func (h hello) encode() []byte {
	b := append([]byte(helloMagic), helloVersion)
	b = binary.BigEndian.AppendUint64(b, h.incarnation)
	for _, s := range []string{h.cluster, string(h.from), string(h.to), h.refusal} {
		s = s[:min(len(s), maxHelloBytes/4-16)]
		b = binary.BigEndian.AppendUint16(b, uint16(len(s)))
		b = append(b, s...)
	}
	return b
}

func decodeHello(b []byte) (hello, error) {
	var h hello
	if len(b) < len(helloMagic)+9 || string(b[:len(helloMagic)]) != helloMagic {
		return h, errors.New("not a node of reprise")
	}
	b = b[len(helloMagic):]
	if b[0] != helloVersion {
		return h, fmt.Errorf("the other node speaks version %d, this one %d", b[0], helloVersion)
	}
	h.incarnation = binary.BigEndian.Uint64(b[1:])
	b = b[9:]
	var texts [4]string
	for i := range texts {
		if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
			return h, errors.New("short hello")
		}
		n := int(binary.BigEndian.Uint16(b))
		texts[i] = string(b[2 : 2+n])
		b = b[2+n:]
	}
	h.cluster, h.from, h.to, h.refusal = texts[0], NodeID(texts[1]), NodeID(texts[2]), texts[3]
	return h, nil
}

// objection says why a node with the given name and cluster does not talk to the
// sender of h; empty if it does.
func (h hello) objection(self NodeID, cluster string) string {
	switch {
	case h.cluster != "" && cluster != "" && h.cluster != cluster:
		return fmt.Sprintf("node %s belongs to cluster %s, node %s to cluster %s", self, cluster, h.from, h.cluster)
	case h.to != "" && h.to != self:
		return fmt.Sprintf("this address is node %s, not node %s", self, h.to)
	case h.from == self:
		return fmt.Sprintf("two nodes are named %s", self)
	}
	return ""
}
