package raftlog

import (
	"context"
	"sync"
	"time"
)

// beat gives the heartbeats of all groups that a host leads the same moments, so
// that they share frames, system calls and wake-ups. hashicorp/raft sends the
// heartbeats of each group and follower at random times; sent as they come, they
// were most of what an idle cluster did (bench/README.md).
//
// Raft pauses for 1/10 to 1/5 of the heartbeat timeout after the answer to a
// heartbeat. The next moment of the beat is 1/4 after the last one, so a
// heartbeat whose answer came in time misses none, and a follower hears its
// leader four times before it would call an election.
type beat struct {
	every time.Duration
	began time.Time

	mu   sync.Mutex    // guards next
	next chan struct{} // closed at the next moment; nil while nobody waits
}

// beatsPerTimeout is how many moments there are in a heartbeat timeout.
const beatsPerTimeout = 4

func newBeat(heartbeatTimeout time.Duration) *beat {
	return &beat{every: heartbeatTimeout / beatsPerTimeout, began: time.Now()}
}

// wait returns at the next moment, or with false when ctx ends.
func (b *beat) wait(ctx context.Context) bool {
	b.mu.Lock()
	if b.next == nil {
		next := make(chan struct{})
		b.next = next
		time.AfterFunc(b.every-time.Since(b.began)%b.every, func() {
			b.mu.Lock()
			b.next = nil
			b.mu.Unlock()
			close(next)
		})
	}
	next := b.next
	b.mu.Unlock()
	select {
	case <-next:
		return true
	case <-ctx.Done():
		return false
	}
}
