package reprise

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/reprise-run/reprise/engine"
)

// NewID returns a new unique ID, a UUID as text. It is the same on replay.
func (o *Orchestration) NewID() string {
	o.h.NotLooking("make an ID")
	o.ids++
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(o.seed[:], o.ids))
	return uuid(sum[:16], 8) // made in our own way
}

// Rand returns a source of random numbers that gives the same ones on replay. It
// is not for secrets.
func (o *Orchestration) Rand() *rand.Rand {
	if o.rand == nil {
		o.rand = rand.New(guarded{o.h, rand.NewChaCha8(o.seed)})
	}
	return o.rand
}

// guarded is a source that queries may not draw from: what they drew would be missing
// on replay.
type guarded struct {
	h      *engine.Handle
	source rand.Source
}

func (g guarded) Uint64() uint64 {
	g.h.NotLooking("draw a random number")
	return g.source.Uint64()
}

// uuid makes the text of a UUID of 16 bytes, which it changes.
func uuid(id []byte, version byte) string {
	id[6] = id[6]&0x0f | version<<4
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}
