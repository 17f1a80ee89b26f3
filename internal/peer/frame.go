package peer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
)

// A connection carries frames: the length of the payload (4 bytes), the CRC32C
// of the payload (4 bytes), the payload; integers are big-endian. The payload of
// all frames but the hello is a piece of a message:
//
//	version 1 · kind 1 · class 1 · last 1 · number 8 · [method length 1 · method · total length 4] · data
//
// The part in brackets is in the first piece of a message only. The pieces of
// one message come in order, and those of two messages of one class never mix.
const (
	frameVersion = 1
	frameHeader  = 8
	pieceHeader  = 12
	pieceBytes   = 64 << 10
	// maxFrameBytes bounds a payload: what a peer may make us allocate at once.
	maxFrameBytes = pieceBytes + 512
)

// frameKind says what a message is.
type frameKind uint8

const (
	frameRequest   frameKind = 1
	frameAnswer    frameKind = 2
	frameError     frameKind = 3 // the handler's error as text
	frameNoHandler frameKind = 4
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errFrame   = errors.New("damaged frame")
)

// message is what a connection carries, whole.
type message struct {
	kind   frameKind
	class  Class
	number uint64 // of the request
	method Method // of a request
	body   []byte
}

// appendFrame appends payload as a frame.
func appendFrame(dst, payload []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(payload)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.Checksum(payload, castagnoli))
	return append(dst, payload...)
}

// readFrame reads one frame into buf, which grows as needed, and returns its
// payload.
func readFrame(r *bufio.Reader, buf []byte) ([]byte, error) {
	var header [frameHeader]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header[:4])
	if size > maxFrameBytes {
		if foreign(header[:4]) {
			return nil, fmt.Errorf("%w: this speaks HTTP or gRPC, and the port is for other nodes; callers want that of the API", errFrame)
		}
		return nil, fmt.Errorf("%w: %d bytes", errFrame, size)
	}
	if uint32(cap(buf)) < size {
		buf = make([]byte, size)
	}
	buf = buf[:size]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.BigEndian.Uint32(header[4:]) {
		return nil, fmt.Errorf("%w: wrong checksum", errFrame)
	}
	return buf, nil
}

// foreign reports whether a frame begins as what a client sends that was given the wrong
// port: the preface of HTTP/2, or a method of HTTP/1. The length of a frame is smaller.
func foreign(begin []byte) bool {
	return slices.Contains([]string{"PRI ", "GET ", "POST", "PUT ", "HEAD"}, string(begin))
}

// appendPiece appends the frame with the piece of m that begins at offset, and
// returns where the next one begins; done is true after the last.
func appendPiece(dst []byte, m *message, offset int) (out []byte, next int, done bool) {
	next = min(offset+pieceBytes, len(m.body))
	done = next == len(m.body)
	start := len(dst)
	dst = append(dst, make([]byte, frameHeader)...)
	dst = append(dst, frameVersion, byte(m.kind), byte(m.class), 0)
	if done {
		dst[len(dst)-1] = 1
	}
	dst = binary.BigEndian.AppendUint64(dst, m.number)
	if offset == 0 {
		dst = append(dst, byte(len(m.method)))
		dst = append(dst, m.method...)
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(m.body)))
	}
	dst = append(dst, m.body[offset:next]...)
	payload := dst[start+frameHeader:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(payload)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(payload, castagnoli))
	return dst, next, done
}

// assembler puts messages together from their pieces.
type assembler struct {
	partial [Bulk + 1]*message
	total   [Bulk + 1]int
}

// add takes the payload of a frame and returns the message that it completes, or
// nil. It does not keep the payload.
func (a *assembler) add(p []byte) (*message, error) {
	if len(p) < pieceHeader || p[0] != frameVersion {
		return nil, fmt.Errorf("%w: no piece of a message", errFrame)
	}
	kind, class, last, number := frameKind(p[1]), Class(p[2]), p[3] == 1, binary.BigEndian.Uint64(p[4:])
	if class > Bulk || kind < frameRequest || kind > frameNoHandler {
		return nil, fmt.Errorf("%w: class %d, kind %d", errFrame, class, kind)
	}
	p = p[pieceHeader:]
	m := a.partial[class]
	if m == nil {
		if len(p) < 1 || len(p) < 1+int(p[0])+4 {
			return nil, fmt.Errorf("%w: first piece is short", errFrame)
		}
		n := int(p[0])
		total := binary.BigEndian.Uint32(p[1+n:])
		if total > MaxMessageBytes {
			return nil, fmt.Errorf("%w: message of %d bytes", errFrame, total)
		}
		m = &message{kind: kind, class: class, number: number, method: Method(p[1 : 1+n])}
		p = p[1+n+4:]
		// The body grows with what arrives: a length alone allocates little.
		m.body = make([]byte, 0, min(int(total), 4*pieceBytes))
		a.partial[class], a.total[class] = m, int(total)
	}
	if m.kind != kind || m.number != number || len(m.body)+len(p) > a.total[class] {
		return nil, fmt.Errorf("%w: piece of another message", errFrame)
	}
	m.body = append(m.body, p...)
	if !last {
		return nil, nil
	}
	if len(m.body) != a.total[class] {
		return nil, fmt.Errorf("%w: message is short", errFrame)
	}
	a.partial[class] = nil
	return m, nil
}
