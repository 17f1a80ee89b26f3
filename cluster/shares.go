package cluster

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/peer"
)

// A limit of the cluster is divided among the nodes that bind the activity: each lets
// no more begin than its share. Who has which share follows from who is there (a
// node's view). A node uses a smaller share at once, a larger one only when all others
// of its view have told that they see the same nodes and run no more than their own
// shares. So the shares in use never add up to more than the limit, as long as nodes
// that are alive see each other. A node that the others take for dead, and that runs on,
// is over and above.

const (
	methodShares = peer.Method("activity/shares")
	sharesEvery  = 500 * time.Millisecond
	sharesAnswer = time.Second
)

// share is how much of a cluster's limits a node may use.
type share struct{ atOnce, rate int }

// within reports whether s is not larger than other.
func (s share) within(other share) bool { return s.atOnce <= other.atOnce && s.rate <= other.rate }

// meet returns the smaller of both.
func (s share) meet(other share) share {
	return share{min(s.atOnce, other.atOnce), min(s.rate, other.rate)}
}

// part returns the part of a limit that the node at a place among n has.
func part(limit, n, place int) int {
	if limit%n > place {
		return limit/n + 1
	}
	return limit / n
}

// sharesRequest asks whether a node sees the same nodes and keeps to its share.
type sharesRequest struct {
	Activity string
	View     uint64
}

// sharersView is who shares the limits of an activity, as one node sees it.
type sharersView struct {
	nodes []peer.NodeID // in the order in which they get what does not divide
	hash  uint64
}

// sharers returns who binds an activity. Each activity has its own order, so that
// small limits do not all end up on the same node.
func (d *dispatcher) sharers(activity string) sharersView {
	d.mu.Lock()
	defer d.mu.Unlock()
	type sharer struct {
		name  peer.NodeID
		order uint64
		life  uint64
	}
	var all []sharer
	for name, t := range d.targets {
		if t.binds(activity) {
			all = append(all, sharer{name, xxhash.Sum64String(activity + "\x00" + string(name)), t.incarnation})
		}
	}
	slices.SortFunc(all, func(a, b sharer) int {
		if a.order != b.order {
			if a.order < b.order {
				return -1
			}
			return 1
		}
		return slices.Compare([]byte(a.name), []byte(b.name))
	})
	view := sharersView{}
	h := xxhash.New()
	for _, s := range all {
		view.nodes = append(view.nodes, s.name)
		var life [8]byte
		binary.BigEndian.PutUint64(life[:], s.life)
		_, _ = h.WriteString(string(s.name) + "\x00") // a hash does not fail
		_, _ = h.Write(life[:])                       // likewise
	}
	view.hash = h.Sum64()
	return view
}

// sees reports whether a node is among those that may get work.
func (d *dispatcher) sees(node peer.NodeID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.targets[node] != nil
}

// entitled returns the share that a node has by a view. Call with the worker's mu held.
func (g *allowance) entitled(view sharersView, node peer.NodeID) share {
	place := slices.Index(view.nodes, node)
	if place < 0 {
		return share{}
	}
	n := len(view.nodes)
	return share{part(g.limits.AtOncePerCluster, n, place), part(g.limits.RatePerCluster.Count, n, place)}
}

// tendShares keeps the shares of this node right until ctx ends. It ends at once if no
// activity here has a limit of the cluster.
func (n *Node) tendShares(ctx context.Context) {
	var shared []string
	for _, activity := range n.code.Activities() {
		if l := n.code.Limits(activity); l.AtOncePerCluster > 0 || l.RatePerCluster.Count > 0 {
			shared = append(shared, activity)
		}
	}
	if len(shared) == 0 {
		return
	}
	ticker := time.NewTicker(sharesEvery)
	defer ticker.Stop()
	for {
		for _, activity := range shared {
			n.tendShare(ctx, activity)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// tendShare lowers the share of an activity's limits, or raises it if all others agree.
func (n *Node) tendShare(ctx context.Context, activity string) {
	complete := n.seesEverybody() // asked before the view is taken, which may be newer
	w := n.worker
	view, want, views := w.lowerShare(activity)
	if w.uses(activity, want) || !complete || !n.agreed(ctx, activity, view) {
		return
	}
	w.mu.Lock()
	g := w.allowance(activity)
	if g.views != views { // the others agreed to what is not so any more
		w.mu.Unlock()
		return
	}
	g.share = want
	w.mu.Unlock()
	w.tellLimited(activity, g)
}

// seesEverybody reports whether this node knows what all members bind, and is not alone
// among several: what it sees is what there is.
func (n *Node) seesEverybody() bool {
	l, members := n.currentLayout(), n.members.Members()
	if l == nil || len(l.Nodes) > 1 && len(members) < 2 {
		return false
	}
	n.dispatcher.mu.Lock()
	defer n.dispatcher.mu.Unlock()
	for _, m := range members {
		if t := n.dispatcher.targets[m.Name]; t == nil || t.incarnation != m.Incarnation {
			return false
		}
	}
	return true
}

// lowerShare lowers the share of an activity's limits where the view that this node has
// now says so. It returns the view, what it says, and how often it has changed so far.
func (w *worker) lowerShare(activity string) (view sharersView, want share, views uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	view = w.node.dispatcher.sharers(activity) // with the lock held, so that no older view follows a newer one
	if g := w.allowance(activity); g != nil {
		want, views = g.lower(view, w.node.self), g.views
	}
	return view, want, views
}

// uses reports whether the share in use is no smaller than it may be.
func (w *worker) uses(activity string, want share) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.allowance(activity)
	return g == nil || want.within(g.share)
}

// lower lowers the share to what a view says, which it returns. Call with the worker's mu
// held.
func (g *allowance) lower(view sharersView, self peer.NodeID) (want share) {
	if g.view != view.hash {
		g.view = view.hash
		g.views++
	}
	want = g.entitled(view, self)
	g.share = g.share.meet(want)
	return want
}

// agreed asks all others of a view whether they see the same and keep to their shares.
func (n *Node) agreed(ctx context.Context, activity string, view sharersView) bool {
	body, err := msgpack.Marshal(sharesRequest{activity, view.hash})
	if err != nil {
		n.log.Error("cannot encode a message", "method", methodShares, "error", err)
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, sharesAnswer)
	defer cancel()
	var against atomic.Int32
	answered := make(chan struct{}, len(view.nodes))
	for _, other := range view.nodes {
		if other == n.self {
			answered <- struct{}{}
			continue
		}
		n.wg.Go(func() {
			defer func() { answered <- struct{}{} }()
			var agrees bool
			b, err := n.rpc.call(ctx, other, methodShares, body)
			if err != nil || msgpack.Unmarshal(b, &agrees) != nil || !agrees {
				against.Add(1)
			}
		})
	}
	for range view.nodes {
		<-answered
	}
	return against.Load() == 0
}

func (n *Node) handleShares(_ context.Context, _ peer.NodeID, body []byte) ([]byte, error) {
	var req sharesRequest
	if err := msgpack.Unmarshal(body, &req); err != nil {
		return nil, fmt.Errorf("decode question about shares: %w", err)
	}
	view, _, _ := n.worker.lowerShare(req.Activity)
	return msgpack.Marshal(view.hash == req.View && n.worker.keepsToShare(req.Activity, view))
}

// keepsToShare reports whether no more of an activity run here than the view says.
func (w *worker) keepsToShare(activity string, view sharersView) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.allowance(activity)
	return g == nil || g.limits.AtOncePerCluster == 0 || g.running <= g.entitled(view, w.node.self).atOnce
}
