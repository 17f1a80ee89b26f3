package raftlog

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// flusher flushes the state store for all groups of a host, makes snapshots and
// truncates logs, off the apply path. A flush that has not begun yet serves
// everybody who asks for one.
type flusher struct {
	host    *Host
	flushes chan struct{} // capacity 1: held while flushing

	mu   sync.Mutex // guards the fields below
	next *flushRound
}

// flushRound is a flush that will begin.
type flushRound struct {
	done chan struct{}
	err  error
}

const (
	// snapshotLook is how often logs are measured.
	snapshotLook = time.Second
	// settleShare is which part of the log that makes a snapshot makes one when the
	// host closes.
	settleShare = 64
)

func newFlusher(h *Host) *flusher {
	return &flusher{host: h, flushes: make(chan struct{}, 1)}
}

// flush returns when everything that was applied before the call is durable.
func (f *flusher) flush() error {
	f.mu.Lock()
	round := f.next
	mine := round == nil
	if mine {
		round = &flushRound{done: make(chan struct{})}
		f.next = round
	}
	f.mu.Unlock()
	if !mine {
		<-round.done
		return round.err
	}
	f.flushes <- struct{}{}
	f.mu.Lock()
	f.next = nil // who asks from now on may have applied after the flush begins
	f.mu.Unlock()
	if f.host.failed() {
		round.err = ErrClosed
	} else if err := f.host.state.Flush(); err != nil {
		round.err = fmt.Errorf("flush state store: %w", err)
		f.host.fatal(round.err)
	}
	<-f.flushes
	close(round.done)
	return round.err
}

// run looks after the logs of all groups until stop is closed. While nothing is
// written it only compares a few numbers.
func (f *flusher) run(stop <-chan struct{}) {
	ticker := time.NewTicker(snapshotLook)
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
			f.look()
		}
	}
}

// look makes the snapshots that are due, all at once so that they share a flush:
// when one group needs one, those that are past half of the way go along.
func (f *flusher) look() {
	var due, soon []*Group
	limit := f.host.cfg.SnapshotLogBytes
	for _, g := range f.host.running() {
		switch size := g.log.sinceSnapshot(); {
		case size >= limit:
			due = append(due, g)
		case size >= limit/2:
			soon = append(soon, g)
		}
	}
	if len(due) == 0 {
		return
	}
	var wg sync.WaitGroup
	for _, g := range append(due, soon...) {
		wg.Go(func() {
			if err := g.snapshot(); err != nil && !f.host.failed() {
				f.host.cfg.Logger.Warn("snapshot not made", "group", g.id, "err", err)
			}
		})
	}
	wg.Wait()
}

// settle makes snapshots of groups that are about to be closed and waits for
// them, but not for long: a Raft that hangs is released when its group closes,
// and wg waits for the rest.
func (f *flusher) settle(wg *sync.WaitGroup, groups []*Group) {
	if f.host.failed() {
		return
	}
	limit := f.host.cfg.SnapshotLogBytes / settleShare
	var made []chan struct{}
	for _, g := range groups {
		if g.log.sinceSnapshot() < limit {
			continue
		}
		done := make(chan struct{})
		made = append(made, done)
		wg.Go(func() {
			defer close(done)
			if err := g.snapshot(); err != nil && !f.host.failed() {
				f.host.cfg.Logger.Warn("no snapshot at the stop", "group", g.id, "err", err)
			}
		})
	}
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	for _, done := range made {
		select {
		case <-done:
		case <-timer.C:
			return
		}
	}
}

// sinceSnapshot returns about how many bytes of log follow the snapshot.
func (l *groupLog) sinceSnapshot() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.snapshot == nil {
		return l.sizes.total
	}
	return l.sizes.after(l.snapshot.Index)
}

// snapshot makes a snapshot and truncates the log behind it.
func (g *Group) snapshot() error {
	inc := g.incarnation()
	if inc == nil {
		return nil
	}
	err := releaseOn(inc.raft.Snapshot(), inc.stopped).Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) || errors.Is(err, raft.ErrRaftShutdown) {
		return nil
	}
	if err != nil {
		return err
	}
	return g.truncate()
}

// truncate removes entries below the snapshot, keeping some for followers that
// are behind. It waits for a better time while a snapshot is sent: the follower
// goes on from the index of that snapshot.
func (g *Group) truncate() error {
	g.installs.sending.Lock()
	defer g.installs.sending.Unlock()
	if g.installs.senders > 0 {
		return nil
	}
	cfg := g.host.cfg
	g.log.mu.RLock()
	first := g.log.first
	to := min(g.log.snapshot.Index, g.log.sizes.keeping(cfg.TrailingLogBytes))
	g.log.mu.RUnlock()
	if to < first || to-first+1 < uint64(cfg.TruncateEntries) {
		return nil
	}
	return g.log.truncate(to)
}
