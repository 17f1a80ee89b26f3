package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/reprise-run/reprise/internal/peer"
)

// nemesis hurts a world until ctx is done: one fault at a time or several, each
// for a while, with quiet times between them.
type nemesis struct {
	*World
	// lastLoss is when a disk was last lost.
	lastLoss time.Time
	done     map[string]int // how often each fault was made
}

// lossPause is the least time between two losses of a disk.
const lossPause = 90 * time.Second

// run makes faults. It is the goroutine that owns the world.
func (m *nemesis) run(ctx context.Context) error {
	for {
		if !pause(ctx, m.span(500*time.Millisecond, 15*time.Second)) {
			return nil
		}
		name, err := m.strike(ctx)
		if err != nil {
			return fmt.Errorf("nemesis: %s: %w", name, err)
		}
		m.done[name]++
	}
}

// strike makes one fault and, where it lasts, ends it.
func (m *nemesis) strike(ctx context.Context) (string, error) {
	select {
	case m.strikes <- struct{}{}:
	default:
	}
	victim := m.nodes[m.rng.IntN(len(m.nodes))]
	other := m.nodes[(m.index(victim)+1+m.rng.IntN(len(m.nodes)-1))%len(m.nodes)]
	lasts := m.span(100*time.Millisecond, 8*time.Second)
	switch m.rng.IntN(17) {
	case 0, 1, 2:
		m.crash(victim)
		pause(ctx, lasts)
		return "crash", m.start(victim)
	case 3:
		if !m.whole(ctx) {
			return "quiet", nil
		}
		m.lastLoss = time.Now()
		m.crash(victim)
		victim.disk = vfs.NewCrashableMem()
		pause(ctx, lasts)
		return "lost disk", m.start(victim)
	case 4:
		if err := m.stop(victim); err != nil {
			return "stop", err
		}
		pause(ctx, lasts)
		return "stop", m.start(victim)
	case 5:
		m.network.Pause(victim.name)
		victim.paused = true
		pause(ctx, lasts)
		m.network.Resume(victim.name)
		victim.paused = false
		return "pause", nil
	case 6:
		m.isolate(victim, true)
		pause(ctx, lasts)
		m.isolate(victim, false)
		return "isolate", nil
	case 7:
		m.cut(victim, other, true)
		pause(ctx, lasts)
		m.cut(victim, other, false)
		return "one-way cut", nil
	case 8:
		// Half of the time it stays so while other things happen.
		m.network.SetUsual(m.badNetwork())
		pause(ctx, lasts)
		if m.rng.IntN(2) == 0 {
			m.network.SetUsual(usualNetwork)
		}
		return "bad network", nil
	case 9:
		m.refusals.Store(uint64(m.rng.Float64() * 0.2 * (1 << 32)))
		pause(ctx, lasts)
		m.refusals.Store(0)
		return "refused proposals", nil
	case 10:
		victim.clock.set(m.span(-time.Hour, time.Hour))
		pause(ctx, lasts)
		if m.rng.IntN(2) == 0 {
			victim.clock.set(0)
		}
		return "clock jump", nil
	case 15:
		// From half as fast to twice as fast, and maybe until something else is
		// wrong with it.
		victim.clock.run(m.between(-0.5, 1))
		pause(ctx, lasts)
		if m.rng.IntN(2) == 0 {
			victim.clock.run(0)
			victim.clock.set(0)
		}
		return "clock drift", nil
	case 16:
		m.offers.Store(uint64(m.rng.Float64() * (1 << 32)))
		pause(ctx, lasts)
		if m.rng.IntN(3) == 0 {
			m.offers.Store(0)
		}
		return "unasked snapshots", nil
	case 11:
		for _, n := range m.nodes {
			m.crash(n)
		}
		pause(ctx, lasts/4)
		for _, n := range m.nodes {
			if err := m.start(n); err != nil {
				return "power cut", err
			}
		}
		return "power cut", nil
	case 12, 13:
		return "relay", m.relay(ctx, victim, other)
	default:
		handing, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		m.running(m.index(victim)).HandOver(handing)
		return "transfer", nil
	}
}

// usualNetwork is how links are when nothing is wrong with them.
var usualNetwork = peer.Fault{MinDelay: 100 * time.Microsecond, MaxDelay: time.Millisecond}

// badNetwork returns links that lose, double and reorder, or that are slow.
func (m *nemesis) badNetwork() peer.Fault {
	f := peer.Fault{
		Drop: m.rng.Float64() * 0.05, Duplicate: m.rng.Float64() * 0.1, Reorder: m.rng.Float64() * 0.2,
		MinDelay: 100 * time.Microsecond, MaxDelay: m.span(time.Millisecond, 40*time.Millisecond),
	}
	if m.rng.IntN(2) == 0 {
		f.Drop, f.BytesPerSecond = 0, 50_000+m.rng.IntN(500_000)
	}
	return f
}

// relay hurts the second node at the moment when the first, which was away and
// has missed something, comes back, and keeps a third away: who is together then
// was never together before.
func (m *nemesis) relay(ctx context.Context, first, second *node) error {
	third := second
	for _, n := range m.nodes {
		if n != first && n != second {
			third = n
		}
	}
	loses := m.rng.IntN(2) == 0 && m.whole(ctx)
	m.isolate(first, true)
	pause(ctx, m.span(200*time.Millisecond, 3*time.Second))
	m.isolate(third, true)
	m.isolate(first, false)
	m.crash(second)
	if loses {
		m.lastLoss = time.Now()
		second.disk = vfs.NewCrashableMem()
	}
	err := m.start(second)
	pause(ctx, m.span(time.Second, 8*time.Second))
	m.isolate(third, false)
	return err
}

// whole reports whether a disk may be lost: only where the replicas of the last one
// are back, with votes, however slow the network was, does no group lose a majority.
func (m *nemesis) whole(ctx context.Context) bool {
	if time.Since(m.lastLoss) < lossPause {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	d, err := m.running(0).Describe(ctx)
	if err != nil || len(d.Partitions) != simPartitions+1 { // the system group too
		return false
	}
	for _, p := range d.Partitions {
		if len(p.Replicas) != len(m.nodes) {
			return false
		}
		for _, r := range p.Replicas {
			if !r.Voter || !r.Reachable {
				return false
			}
		}
	}
	return true
}

// isolate cuts a node off from all others, or mends that.
func (m *nemesis) isolate(n *node, on bool) {
	for _, other := range m.nodes {
		if other != n {
			m.cut(n, other, on)
			m.cut(other, n, on)
		}
	}
}

func (m *nemesis) index(n *node) int {
	for i := range m.nodes {
		if m.nodes[i] == n {
			return i
		}
	}
	panic("node of another world")
}

// pause waits in simulated time. It returns false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// span returns a random duration.
func (m *nemesis) span(low, high time.Duration) time.Duration {
	return low + time.Duration(m.rng.Int64N(int64(high-low)))
}
