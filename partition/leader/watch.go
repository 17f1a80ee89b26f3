package leader

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/reprise-run/reprise/partition"
)

// WatchRequest waits until an instance shows something else than the caller has seen:
// another status, custom status or execution, other tags, a request to end, other things
// that it waits for.
type WatchRequest struct {
	Instance InstanceRef
	Seen     Seen
}

// Seen is what a watcher has seen last of an instance. The zero value is nothing.
type Seen struct {
	// Epoch is the reign of the leader that showed it.
	Epoch uint64
	// Sum is a hash of what was shown.
	Sum uint64
}

// WatchAnswer is how an instance is now: its newest committed state, whatever came
// between. It has the custom status and, at the end, output and failure, but no input.
type WatchAnswer struct {
	Instance Instance
	Seen     Seen
}

// Watch returns when the instance shows something else than was seen, or has ended. It
// is told by the entry that makes it so; nothing polls. Who asks again with what was seen
// never sees an older state, and never misses one that is still the newest, whoever
// leads by then. [ErrNotFound] where there is no instance (any more), [ErrOverloaded]
// where too many watch.
func (l *Leader) Watch(ctx context.Context, req WatchRequest) (WatchAnswer, error) {
	c := l.core
	w, err := c.watchers.add(partition.NewAddress(c.cfg.Partition, req.Instance.Hub, req.Instance.ID).Owner())
	if err != nil {
		return WatchAnswer{}, err
	}
	defer c.watchers.remove(w)
	// What this reign has shown is applied here, and what is applied never goes back.
	foreign := req.Seen.Epoch != c.epoch
	if foreign {
		if err := c.confirm(ctx); err != nil {
			return WatchAnswer{}, err
		}
	}
	for {
		a, changed, err := w.look(c, req.Instance, foreign)
		if err != nil || a.Seen.Sum != req.Seen.Sum || a.Instance.Status.Ended() {
			return a, err
		}
		foreign = false
		select {
		case <-changed:
		case <-ctx.Done():
			return WatchAnswer{}, ctx.Err()
		case <-c.ended:
			return WatchAnswer{}, ErrNotLeading
		}
	}
}

// progress reads from the applied state what watchers are shown.
func (c *core) progress(ref InstanceRef) (Instance, error) {
	return c.readInstance(ref, func(s partition.Reader, addr partition.Address, rec *partition.Record, in *Instance) error {
		if err := customStatus(s, addr, rec, in); err != nil {
			return err
		}
		return outcomeIn(s, addr, rec, true, nil, in)
	})
}

// fingerprint is a hash of what watchers want to know; never 0.
func fingerprint(in Instance) uint64 {
	b := make([]byte, 0, 256+len(in.CustomStatus))
	number := func(n int64) { b = binary.BigEndian.AppendUint64(b, uint64(n)) }
	add := func(texts ...string) {
		for _, text := range texts {
			number(int64(len(text)))
			b = append(b, text...)
		}
	}
	add(string(in.Execution), string(in.CustomStatus), in.Parked, in.CancelReason)
	number(int64(in.Status))
	number(in.CancelRequested.Unix())
	if in.CustomStatus != nil {
		number(1)
	}
	number(int64(len(in.Tags)))
	for _, name := range slices.Sorted(maps.Keys(in.Tags)) {
		add(name, in.Tags[name])
	}
	add(in.Waiting...)
	return xxhash.Sum64(b) | 1
}

// watchers are the calls that wait for instances to change. It is safe for concurrent
// use.
type watchers struct {
	mu    sync.Mutex // protects the fields below, and those of watched that say so
	by    map[partition.Owner]*watched
	count int
	limit int
}

// watched is an instance that somebody watches. However many do, it is read once after
// each change.
type watched struct {
	owner    partition.Owner
	watchers *watchers
	// Of watchers.mu: how many watch; how often it has changed since somebody does, and
	// what is closed when it does so again.
	count   int
	changes uint64
	changed chan struct{}

	mu   sync.Mutex // protects the fields below
	read bool
	at   uint64 // changes when it was read
	last WatchAnswer
	err  error
}

// add counts one more who watches an instance. Whoever adds looks at the state
// afterwards: what is applied later is told.
func (ws *watchers) add(owner partition.Owner) (*watched, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= ws.limit {
		return nil, ErrOverloaded
	}
	ws.count++
	w := ws.by[owner]
	if w == nil {
		w = &watched{owner: owner, watchers: ws, changed: make(chan struct{})}
		ws.by[owner] = w
	}
	w.count++
	return w, nil
}

func (ws *watchers) remove(w *watched) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.count--
	if w.count--; w.count == 0 {
		delete(ws.by, w.owner)
	}
}

// tell tells those who watch the instances whose rows an entry wrote, now that it is
// applied.
func (ws *watchers) tell(keys []string) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count == 0 {
		return
	}
	for _, key := range keys {
		owner, ok := partition.DescribedBy(key)
		if !ok {
			continue
		}
		if w := ws.by[owner]; w != nil {
			w.changes++
			close(w.changed)
			w.changed = make(chan struct{})
		}
	}
}

func (ws *watchers) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.count
}

// look returns how the instance is, and what is closed when that changes. It is read
// where it has changed since the last time, or afresh, after a read check: what others
// were told may be older than that. No look tells what is older than the one before.
func (w *watched) look(c *core, ref InstanceRef, afresh bool) (WatchAnswer, <-chan struct{}, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watchers.mu.Lock()
	changes, changed := w.changes, w.changed
	w.watchers.mu.Unlock()
	if afresh || !w.read || w.at != changes {
		in, err := c.progress(ref)
		w.read, w.at, w.last, w.err = true, changes, WatchAnswer{}, err
		if err == nil {
			w.last = WatchAnswer{in, Seen{c.epoch, fingerprint(in)}}
		}
	}
	return w.last, changed, w.err
}
