package raftlog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
)

const (
	// spoolFileBytes is about how large a spooled file gets.
	spoolFileBytes = 64 << 20
	// incomingIdle is after how long without a block a stream is given up.
	incomingIdle = time.Minute
)

// incoming is a snapshot that is being received. One goroutine spools it into
// files while Raft keeps running, and at the end installs it.
type incoming struct {
	group  *Group
	offer  offer
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}   // closed when the goroutine has ended
	parts  chan streamPart // bounded by what a sender may have under way

	// The rest belongs to the goroutine.
	blocks  uint32                // received and written, in order
	early   map[uint32]streamPart // blocks that came before their turn
	rows    uint64
	files   []string
	writer  *sstable.Writer
	written int64
	last    []byte
	record  record
}

// streamPart is a block, or the end of the stream.
type streamPart struct {
	number uint32
	rows   decoder
	end    bool
	count  uint64 // at the end: how many rows there were
	answer reply
}

// handleBegin answers an offer, and gets ready to receive.
func (h *Host) handleBegin(from peer.NodeID, body []byte, answer reply) {
	g, _, d, err := h.accept(from, body)
	if err != nil {
		answer(nil, err)
		return
	}
	o, err := decodeOffer(d)
	if err != nil {
		answer(nil, err)
		return
	}
	if g.incarnation() == nil {
		answer(nil, errFrameRefused)
		return
	}
	v := g.log.judge(o, h.cfg.Faults.WipeOnInstall)
	if v.want {
		if err := g.receive(o); err != nil {
			answer(nil, err)
			return
		}
	}
	answer(encodeVerdict(v), nil)
}

// receive starts to receive a snapshot. A stream that is under way is given up:
// its sender has given up too, or leads no more. While it ends, the new one is
// refused, and its sender tries again.
func (g *Group) receive(o offer) error {
	i := &g.installs
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.aborted {
		return ErrClosed
	}
	if i.incoming != nil {
		if i.incoming.offer.transfer == o.transfer {
			return nil // the offer came twice
		}
		if o.term < i.incoming.offer.term {
			return fmt.Errorf("group %d: a snapshot of a newer term is being received", g.id)
		}
		i.incoming.cancel()
		return fmt.Errorf("group %d: another snapshot is being received: %w", g.id, peer.ErrBusy)
	}
	in := &incoming{
		group: g, offer: o,
		done:  make(chan struct{}),
		parts: make(chan streamPart, 2*snapshotWindow),
		early: make(map[uint32]streamPart),
	}
	in.offer.configuration = append([]byte{}, o.configuration...)
	in.ctx, in.cancel = context.WithCancel(context.Background())
	i.incoming = in
	go in.run()
	return nil
}

// stream returns the stream of a transfer, nil if there is none.
func (g *Group) stream(transfer uint64) *incoming {
	g.installs.mu.Lock()
	defer g.installs.mu.Unlock()
	if in := g.installs.incoming; in != nil && in.offer.transfer == transfer {
		return in
	}
	return nil
}

func (h *Host) handleBlock(from peer.NodeID, body []byte, answer reply) {
	h.handlePart(from, body, answer, func(d *decoder) (streamPart, error) {
		p := streamPart{number: d.uint32()}
		p.rows = *d
		return p, d.err
	})
}

func (h *Host) handleFinish(from peer.NodeID, body []byte, answer reply) {
	h.handlePart(from, body, answer, func(d *decoder) (streamPart, error) {
		p := streamPart{end: true, number: d.uint32(), count: d.uint64()}
		return p, d.end()
	})
}

func (h *Host) handlePart(from peer.NodeID, body []byte, answer reply, decode func(*decoder) (streamPart, error)) {
	g, f, d, err := h.accept(from, body)
	if err != nil {
		answer(nil, err)
		return
	}
	transfer := d.uint64()
	p, err := decode(&d)
	if err != nil {
		answer(nil, err)
		return
	}
	in := g.stream(transfer)
	if in == nil {
		answer(nil, fmt.Errorf("group %d: no such stream: %w", f.group, errFrameRefused))
		return
	}
	p.answer = answer
	select {
	case in.parts <- p:
	default:
		answer(nil, peer.ErrBusy)
	}
}

// run receives until the end of the stream, or until it fails.
func (in *incoming) run() {
	defer close(in.done)
	err := in.loop()
	in.cancel()
	in.discard()
	in.group.installs.mu.Lock()
	in.group.installs.incoming = nil
	in.group.installs.mu.Unlock()
	// No more parts come in now; nobody must wait for an answer.
	for {
		select {
		case p := <-in.parts:
			p.answer(nil, errFrameRefused)
		default:
			for _, p := range in.early {
				p.answer(nil, errFrameRefused)
			}
			if err != nil && !in.group.host.failed() {
				in.group.host.cfg.Logger.Debug("snapshot not received", "group", in.group.id, "err", err)
			}
			return
		}
	}
}

func (in *incoming) loop() error {
	idle := time.NewTimer(incomingIdle)
	defer idle.Stop()
	for {
		select {
		case p := <-in.parts:
			idle.Reset(incomingIdle)
			ended, err := in.take(p)
			if ended || err != nil {
				return err
			}
		case <-idle.C:
			return errors.New("the stream has stopped")
		case <-in.ctx.Done():
			return in.ctx.Err()
		}
	}
}

// take handles a part whose turn it is, and those that waited for it.
func (in *incoming) take(p streamPart) (ended bool, err error) {
	if p.number < in.blocks {
		p.answer(nil, nil) // it came twice
		return false, nil
	}
	if old, ok := in.early[p.number]; ok {
		old.answer(nil, nil)
	}
	in.early[p.number] = p
	if len(in.early) > 2*snapshotWindow {
		return true, errors.New("too many blocks before their turn")
	}
	for {
		p, ok := in.early[in.blocks]
		if !ok {
			return false, nil
		}
		delete(in.early, in.blocks)
		if p.end {
			v, err := in.finish(p.count)
			if err != nil {
				p.answer(nil, err)
				return true, err
			}
			p.answer(encodeVerdict(v), nil)
			return true, nil
		}
		if err := in.write(p.rows); err != nil {
			p.answer(nil, err)
			return true, err
		}
		in.blocks++
		p.answer(nil, nil)
	}
}

// write spools the rows of a block, which come in the order of their keys.
func (in *incoming) write(d decoder) error {
	g := in.group
	for len(d.b) > 0 {
		key, value := d.bytes(1<<20), d.bytes(maxFrameBytes)
		if d.err != nil {
			return d.err
		}
		if len(key) < 5 || string(key[:4]) != string(groupStart(g.id)) || string(key) <= string(in.last) {
			return fmt.Errorf("row %x after %x does not belong here", key, in.last)
		}
		if string(key) == string(recordKey(g.id)) {
			rec, err := decodeRecord(value)
			if err != nil {
				return err
			}
			in.record = rec
		}
		if err := in.rollFile(); err != nil {
			return err
		}
		if err := in.writer.Set(key, value); err != nil {
			return fmt.Errorf("spool snapshot: %w", err)
		}
		in.last = append(in.last[:0], key...)
		in.written += int64(len(key) + len(value))
		in.rows++
	}
	return d.err
}

// rollFile begins a file where there is none, or where it is large enough.
func (in *incoming) rollFile() error {
	if in.writer != nil && in.written < spoolFileBytes {
		return nil
	}
	if err := in.closeFile(); err != nil {
		return err
	}
	h := in.group.host
	name := h.fs.PathJoin(h.spoolDir(), fmt.Sprintf("%d-%016x-%d.sst", in.group.id, in.offer.transfer, len(in.files)))
	f, err := h.fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("spool snapshot: %w", err)
	}
	in.files = append(in.files, name)
	var o pebble.Options
	o.EnsureDefaults()
	in.writer = sstable.NewWriter(objstorageprovider.NewFileWritable(f), o.MakeWriterOptions(0, h.state.TableFormat()))
	in.written = 0
	return nil
}

func (in *incoming) closeFile() error {
	if in.writer == nil {
		return nil
	}
	err := in.writer.Close() // syncs
	in.writer = nil
	if err != nil {
		return fmt.Errorf("spool snapshot: %w", err)
	}
	return nil
}

// finish checks that the stream is whole and installs it.
func (in *incoming) finish(rows uint64) (verdict, error) {
	if err := in.closeFile(); err != nil {
		return verdict{}, err
	}
	if in.rows != rows || in.record.applied < in.offer.index {
		return verdict{}, fmt.Errorf("stream of %d rows up to index %d: received %d up to %d", rows, in.offer.index, in.rows, in.record.applied)
	}
	return in.group.install(in.offer, in.files, in.record.applied)
}

// discard removes what was spooled and not ingested.
func (in *incoming) discard() {
	if in.writer != nil {
		_ = in.writer.Close() // it is thrown away
	}
	for _, f := range in.files {
		_ = in.group.host.fs.Remove(f) // Open removes what is left
	}
}

// spoolDir is where snapshots are spooled. Open empties it.
func (h *Host) spoolDir() string { return h.fs.PathJoin(h.cfg.Dir, "spool") }
