package raftlog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/hashicorp/raft"

	"github.com/reprise-run/reprise/internal/peer"
)

const (
	// snapshotBlockBytes is about how long a block is; one row may be longer.
	snapshotBlockBytes = 256 << 10
	// snapshotWindow is how many blocks are under way at once.
	snapshotWindow = 8
	// snapshotSenders is how many snapshots a host sends at once.
	snapshotSenders = 2
	// blockTimeout bounds one block, installTimeout the install at the end.
	blockTimeout   = 30 * time.Second
	installTimeout = 2 * time.Minute
)

// sendSnapshot streams this replica's state to a follower that needs entries
// which are gone. The content is what is applied now, which may be newer than
// the metadata's index; the record of the group travels with it.
//
// The stream reads from one iterator. It pins one consistent view, as a snapshot
// of Pebble would, and needs no rule about excises of other groups.
func (t *transport) sendSnapshot(id raft.ServerID, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse) error {
	g := t.inc.group
	if err := t.awaitReachable(ServerID(id), args.Term); err != nil {
		return err
	}
	select {
	case g.host.senders <- struct{}{}:
	case <-t.inc.ctx.Done():
		return ErrClosed
	}
	defer func() { <-g.host.senders }()
	if !g.holdLog(args.LastLogIndex) {
		return errors.New("snapshot was superseded")
	}
	defer g.releaseLog()
	o := offer{
		transfer: rand.Uint64(), term: args.Term,
		index: args.LastLogIndex, indexTerm: args.LastLogTerm,
		configurationIndex: args.ConfigurationIndex, configuration: args.Configuration,
	}
	v, err := t.ask(id, methodBegin, encodeOffer(t.frame(id), o), g.host.cfg.RequestTimeout)
	if err == nil && v.want {
		v, err = t.stream(id, o)
	}
	if err != nil {
		return fmt.Errorf("send snapshot of group %d to %s: %w", g.id, id, err)
	}
	resp.Term, resp.Success = v.term, v.has
	if v.has {
		g.progress.set(ServerID(id), args.Term, o.index)
	}
	return nil
}

// offerUnasked offers the newest snapshot to a follower for which Raft did not ask
// it. What becomes of it is the follower's business.
func (t *transport) offerUnasked(id raft.ServerID, term uint64) {
	g := t.inc.group
	have, err := snapshotStore{g}.List()
	if err != nil || len(have) == 0 {
		return
	}
	m := have[0]
	err = t.sendSnapshot(id, &raft.InstallSnapshotRequest{
		SnapshotVersion: m.Version, Term: term, LastLogIndex: m.Index, LastLogTerm: m.Term,
		Configuration: raft.EncodeConfiguration(m.Configuration), ConfigurationIndex: m.ConfigurationIndex,
	}, &raft.InstallSnapshotResponse{})
	if err != nil {
		g.host.cfg.Logger.Debug("snapshot that nobody asked for was not sent", "group", g.id, "to", id, "err", err)
	}
}

// holdLog keeps the log from being truncated until releaseLog, if entries after
// the index are still there.
func (g *Group) holdLog(index uint64) bool {
	g.installs.sending.Lock()
	defer g.installs.sending.Unlock()
	g.log.mu.RLock()
	defer g.log.mu.RUnlock()
	if g.log.first > index+1 {
		return false
	}
	g.installs.senders++
	return true
}

func (g *Group) releaseLog() {
	g.installs.sending.Lock()
	defer g.installs.sending.Unlock()
	g.installs.senders--
}

func (t *transport) ask(id raft.ServerID, m peer.Method, body []byte, timeout time.Duration) (verdict, error) {
	answer, err := t.call(id, m, peer.Bulk, body, timeout)
	if err != nil {
		return verdict{}, err
	}
	return decodeVerdict(answer)
}

// stream sends the rows of the group in blocks, several under way at once, and
// then asks for the install.
func (t *transport) stream(id raft.ServerID, o offer) (verdict, error) {
	g := t.inc.group
	it, err := g.host.groupIter(g.id)
	if err != nil {
		return verdict{}, err
	}
	s := &blockSender{transport: t, target: id, transfer: o.transfer, window: make(chan struct{}, snapshotWindow)}
	s.ctx, s.cancel = context.WithCancelCause(t.inc.ctx)
	defer s.cancel(nil)
	for ok := it.First(); ok && s.ctx.Err() == nil; ok = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			break // it.Error has it
		}
		s.add(it.Key(), value)
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		g.host.fatal(fmt.Errorf("read state of group %d: %w", g.id, err))
		return verdict{}, err
	}
	s.flush()
	if err := s.wait(); err != nil {
		return verdict{}, err
	}
	return t.ask(id, methodFinish, encodeFinish(t.frame(id), o.transfer, s.blocks, s.rows), installTimeout)
}

// beginBlock begins a block: the transfer (8), its number from 0 (4); rows follow,
// each as length and bytes of key and value.
func beginBlock(f frame, transfer uint64, number uint32, size int) []byte {
	b := binary.BigEndian.AppendUint64(f.begin(size), transfer)
	return binary.BigEndian.AppendUint32(b, number)
}

// encodeFinish ends a stream: the transfer (8), the number of blocks (4) and of
// rows (8).
func encodeFinish(f frame, transfer uint64, blocks uint32, rows uint64) []byte {
	b := binary.BigEndian.AppendUint64(f.begin(32), transfer)
	b = binary.BigEndian.AppendUint32(b, blocks)
	return seal(binary.BigEndian.AppendUint64(b, rows))
}

// groupIter iterates over all rows of a group.
func (h *Host) groupIter(g GroupID) (*pebble.Iterator, error) {
	h.streams <- struct{}{}
	defer func() { <-h.streams }()
	return h.state.NewIter(&pebble.IterOptions{LowerBound: groupStart(g), UpperBound: groupEnd(g)})
}

// blockSender gathers rows into blocks and sends them.
type blockSender struct {
	transport *transport
	target    raft.ServerID
	transfer  uint64
	ctx       context.Context
	cancel    context.CancelCauseFunc
	window    chan struct{} // held by blocks under way
	sent      sync.WaitGroup

	block  []byte
	blocks uint32
	rows   uint64
}

func (s *blockSender) add(key, value []byte) {
	if s.block == nil {
		s.block = beginBlock(s.transport.frame(s.target), s.transfer, s.blocks, snapshotBlockBytes+len(key)+len(value)+64)
	}
	s.block = appendBytes(appendBytes(s.block, key), value)
	s.rows++
	if len(s.block) >= snapshotBlockBytes {
		s.flush()
	}
}

// flush sends the block, when there is room in the window.
func (s *blockSender) flush() {
	if s.block == nil {
		return
	}
	body := seal(s.block)
	s.block = nil
	s.blocks++
	select {
	case s.window <- struct{}{}:
	case <-s.ctx.Done():
		return
	}
	if s.transport.inc.group.host.failed() {
		s.cancel(ErrClosed)
		<-s.window
		return
	}
	ctx, cancel := context.WithTimeout(s.ctx, blockTimeout)
	s.sent.Add(1)
	s.transport.network.Request(ctx, ServerID(s.target).Node(), methodBlock, peer.Bulk, body, func(_ []byte, err error) {
		cancel()
		if err != nil {
			s.cancel(err)
		}
		<-s.window
		s.sent.Done()
	})
}

// wait returns when all blocks have been acknowledged, or one has failed.
func (s *blockSender) wait() error {
	s.sent.Wait()
	return context.Cause(s.ctx)
}
