package cluster

import (
	"time"

	"github.com/reprise-run/reprise"
	"github.com/reprise-run/reprise/internal/peer"
)

// allowance holds the limits of one activity on this node, and what they have let through.
// The worker's mu guards it.
type allowance struct {
	limits  reprise.ActivityLimits
	running int
	begun   bucket // by the rate of the node
	// share is the part of the cluster's limits that this node may use, see shares.go.
	share  share
	view   uint64 // by which it is, and how often that has changed
	views  uint64
	shared bucket // by the share of the cluster's rate
	// refused are nodes that wait for room; waking is set while a timer is to tell
	// them.
	refused map[peer.NodeID]bool
	waking  bool
}

// bucket lets so many through in a time.
type bucket struct {
	tokens float64
	since  time.Time // when they were counted
}

// wait returns how long it takes until the rate lets another one through.
func (b *bucket) wait(r reprise.Rate, now time.Time) time.Duration {
	if r.Per <= 0 {
		return 0
	}
	if r.Count == 0 {
		return r.Per // nothing, until the share is larger
	}
	per := float64(r.Per) / float64(r.Count)
	if b.since.IsZero() {
		b.tokens = float64(r.Count)
	} else {
		b.tokens += float64(now.Sub(b.since)) / per
	}
	b.tokens = min(b.tokens, float64(r.Count))
	b.since = now
	if b.tokens >= 1 {
		return 0
	}
	return max(time.Duration((1-b.tokens)*per), time.Millisecond)
}

// allowance returns the limits of an activity; nil: it has none. Call with mu held.
func (w *worker) allowance(activity string) *allowance {
	g, known := w.allowances[activity]
	if !known {
		if l := w.node.code.Limits(activity); l != (reprise.ActivityLimits{}) {
			g = &allowance{limits: l, refused: make(map[peer.NodeID]bool)}
		}
		w.allowances[activity] = g
	}
	return g
}

// admit reports whether another attempt of an activity may begin; if not, the node that
// asked hears when one may. Call with mu held.
func (w *worker) admit(activity string, from peer.NodeID) bool {
	g := w.allowance(activity)
	if g == nil {
		return true
	}
	l := g.limits
	if l.AtOncePerCluster > 0 || l.RatePerCluster.Count > 0 {
		g.lower(w.node.dispatcher.sharers(activity), w.node.self)
		if !w.node.dispatcher.sees(from) {
			g.refused[from] = true
			return false
		}
	}
	if l.AtOnce > 0 && g.running >= l.AtOnce || l.AtOncePerCluster > 0 && g.running >= g.share.atOnce {
		g.refused[from] = true
		return false
	}
	now := time.Now()
	rate := reprise.Rate{Count: g.share.rate, Per: l.RatePerCluster.Per}
	if wait := max(g.begun.wait(l.Rate, now), g.shared.wait(rate, now)); wait > 0 {
		g.refused[from] = true
		if !g.waking {
			g.waking = true
			w.node.wg.Go(func() { w.wake(activity, g, wait) })
		}
		return false
	}
	g.begun.tokens--
	g.shared.tokens--
	g.running++
	return true
}

// wake tells those who were refused after a while.
func (w *worker) wake(activity string, g *allowance, after time.Duration) {
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.node.ctx.Done():
		return
	}
	w.mu.Lock()
	g.waking = false
	w.mu.Unlock()
	w.tellLimited(activity, g)
}

// tellLimited tells those who were refused that there may be room for an activity.
func (w *worker) tellLimited(activity string, g *allowance) {
	w.mu.Lock()
	told := g.refused
	if len(told) > 0 {
		g.refused = make(map[peer.NodeID]bool)
	}
	w.mu.Unlock()
	for who := range told {
		w.node.tellRoom(who, activity)
	}
}
