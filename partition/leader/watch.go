package leader

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"

	"github.com/reprise-run/reprise/internal/pack"
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
	owner := partition.NewAddress(c.cfg.Partition, req.Instance.Hub, req.Instance.ID).Owner()
	changed := make(chan struct{}, 1)
	if err := c.watchers.add(owner, changed); err != nil {
		return WatchAnswer{}, err
	}
	defer c.watchers.remove(owner, changed)
	// What this reign has shown is applied here, and what is applied never goes back.
	if req.Seen.Epoch != c.epoch {
		if err := c.confirm(ctx); err != nil {
			return WatchAnswer{}, err
		}
	}
	for {
		in, err := c.progress(req.Instance)
		if err != nil {
			return WatchAnswer{}, err
		}
		if sum := fingerprint(in); sum != req.Seen.Sum || in.Status.Ended() {
			return WatchAnswer{in, Seen{c.epoch, sum}}, nil
		}
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
		return outcomeIn(s, addr, rec, true, in)
	})
}

// fingerprint is a hash of what watchers want to know; never 0.
func fingerprint(in Instance) uint64 {
	w := pack.NewWriter(256+len(in.CustomStatus), 8)
	w.String(string(in.Execution))
	w.Int(int64(in.Status))
	w.Binary(in.CustomStatus)
	w.Array(2 * len(in.Tags))
	for _, name := range slices.Sorted(maps.Keys(in.Tags)) {
		w.String(name)
		w.String(in.Tags[name])
	}
	w.Array(len(in.Waiting))
	for _, what := range in.Waiting {
		w.String(what)
	}
	w.String(in.Parked)
	w.Time(in.CancelRequested)
	w.String(in.CancelReason)
	return xxhash.Sum64(w.Bytes()) | 1
}

// watchers are the calls that wait for instances to change. It is safe for concurrent
// use.
type watchers struct {
	mu    sync.Mutex // protects the fields below
	by    map[partition.Owner][]chan struct{}
	count int
	limit int
}

// add lets changed, whose capacity is 1, be told of an instance. Whoever adds looks at
// the state afterwards: what is applied later is told.
func (ws *watchers) add(owner partition.Owner, changed chan struct{}) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.count >= ws.limit {
		return ErrOverloaded
	}
	ws.count++
	ws.by[owner] = append(ws.by[owner], changed)
	return nil
}

func (ws *watchers) remove(owner partition.Owner, changed chan struct{}) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.count--
	all := ws.by[owner]
	i, last := slices.Index(all, changed), len(all)-1
	all[i], all[last] = all[last], nil
	if ws.by[owner] = all[:last]; last == 0 {
		delete(ws.by, owner)
	}
}

// tell tells those who watch the instances whose rows an entry wrote, now that it is
// applied. Who has not looked since the last time looks once for both.
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
		for _, changed := range ws.by[owner] {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}
}

func (ws *watchers) len() int {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	return ws.count
}
