package cluster

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/reprise-run/reprise/internal/peer"
)

// known is what this node knows of another one, or of itself. The mutex of the
// node guards it.
type known struct {
	member Member
	alive  bool
	// lost is set once the network has said that the process is gone, until it
	// answers after all, or another one comes.
	lost  bool
	since time.Time // when this process of the node was first seen
	// info is what the process said; informed is false until it has, or after its
	// functions changed.
	info     nodeInfo
	informed bool
	asking   bool
}

// The pace of tend.
const (
	tendPause        = 200 * time.Millisecond // while there is something left to do
	tendSettledPause = 2 * time.Second
)

// tend keeps up with membership: it founds or joins a cluster, learns newer
// layouts and what other nodes bind, and notices who came and who went.
func (n *Node) tend(ctx context.Context) {
	for {
		n.observe()
		settled, err := n.settle(ctx)
		n.mu.Lock()
		n.unsettled = err
		n.mu.Unlock()
		switch {
		case errors.Is(err, ErrOtherCluster):
			n.fatal(err)
			return
		case err != nil && ctx.Err() == nil:
			n.log.Debug("not settled", "error", err)
		}
		n.dispatcher.nudge()
		pause := tendPause
		if settled {
			pause = tendSettledPause
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		case <-n.gossip:
			timer.Stop()
		}
	}
}

// observe compares the members with those that were known.
func (n *Node) observe() {
	members := n.members.Members()
	var came, left, leaving []peer.NodeID
	n.mu.Lock()
	present := make(map[peer.NodeID]bool)
	for _, m := range members {
		present[m.Name] = true
		k := n.known[m.Name]
		if k == nil {
			k = &known{}
			n.known[m.Name] = k
		}
		if !k.alive || k.member.Incarnation != m.Incarnation {
			k.alive, k.lost, k.since, k.informed = true, false, time.Now(), false
			came = append(came, m.Name)
		}
		if k.member.Functions != m.Functions {
			k.informed = false
		}
		if m.Leaving && !k.member.Leaving {
			leaving = append(leaving, m.Name)
		}
		k.member = m
	}
	for name, k := range n.known {
		if k.alive && !present[name] {
			k.alive, k.informed = false, false
			left = append(left, name)
		}
	}
	n.mu.Unlock()
	for _, name := range left {
		if name != n.self {
			n.log.Info("a node is gone", "peer", name)
		}
		n.dispatcher.removeTarget(name, true)
		n.rpc.lost(name)
		n.host.NodeLost(name)
	}
	for _, name := range leaving {
		n.dispatcher.removeTarget(name, false)
	}
	for _, name := range came {
		if name != n.self {
			n.log.Info("a node is there", "peer", name)
			n.wg.Go(func() { n.dispatcher.audit(name) })
		}
	}
	if len(came)+len(left)+len(leaving) > 0 {
		n.rememberSeeds(members)
		n.changed.fire()
	}
	n.inform()
}

// inform asks processes that have not told yet what they bind.
func (n *Node) inform() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, k := range n.known {
		if !k.alive || k.informed || k.asking {
			continue
		}
		k.asking = true
		n.wg.Go(func() { n.informOf(name, k) })
	}
}

func (n *Node) informOf(name peer.NodeID, k *known) {
	ctx, cancel := context.WithTimeout(n.ctx, 2*time.Second)
	defer cancel()
	info, err := n.askInfo(ctx, name)
	n.mu.Lock()
	k.asking = false
	fits := err == nil && k.alive && info.Incarnation == k.member.Incarnation
	if fits {
		k.info, k.informed = info, true
	}
	leaving := k.member.Leaving
	n.mu.Unlock()
	if !fits {
		return // tend asks again
	}
	if !leaving {
		n.dispatcher.setTarget(name, info)
	}
	newCode := fits && n.isNewProgram(info.Program)
	for _, l := range n.localLeaders() {
		l.BindingsChanged()
		if newCode {
			l.CodeChanged()
		}
	}
}

// settle does what is left to do for belonging to a cluster.
func (n *Node) settle(ctx context.Context) (settled bool, err error) {
	if n.clusterID() == "" {
		return false, n.findCluster(ctx)
	}
	l := n.currentLayout()
	if l == nil {
		return false, nil // the record has the cluster; this process learns the layout next
	}
	// Some may not have heard of the founding yet. One that is not there keeps
	// nobody from the rest.
	var untold error
	if r := n.data.get(); r.Founding != nil && r.Founding.Proposer == n.self && !r.Told {
		untold = n.tell(ctx, r.Founding)
	}
	members := n.others()
	for _, m := range members {
		if m.Cluster == l.Cluster && m.Layout > l.Version {
			if err := n.fetchLayout(ctx, m.Name); err != nil {
				return false, err
			}
			l = n.currentLayout()
		}
	}
	if mine, ok := l.node(n.self); !ok || mine != n.asLayoutNode() {
		return false, n.joinAny(ctx, l.Cluster)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, k := range n.known {
		if k.alive && !k.informed {
			return false, untold
		}
	}
	return untold == nil, untold
}

// findCluster joins the cluster of a node that has one, or helps to found one.
func (n *Node) findCluster(ctx context.Context) error {
	clusters := make(map[string]bool)
	for _, m := range n.others() {
		if m.Cluster != "" {
			clusters[m.Cluster] = true
		}
	}
	switch len(clusters) {
	case 0:
		return n.bootstrap(ctx)
	case 1:
		for id := range clusters {
			if f := n.data.get().Founding; f != nil && f.Layout.Cluster == id {
				return n.agreedTo(ctx, f)
			}
			return n.joinAny(ctx, id)
		}
	}
	return errors.New("nodes of several clusters are there; waiting until one is left")
}

// agreedTo does what is left of a founding to which this node agreed, when others
// belong to the cluster already.
func (n *Node) agreedTo(ctx context.Context, f *founding) error {
	if f.Servers != nil {
		return n.found(ctx)
	}
	var errs []error
	for _, m := range n.others() {
		if m.Cluster != f.Layout.Cluster {
			continue
		}
		err := n.hearOf(ctx, m.Name, f)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// joinAny asks the nodes of a cluster, one after the other, for a place in it.
func (n *Node) joinAny(ctx context.Context, cluster string) error {
	err := errors.New("no node of the cluster is there")
	if l := n.currentLayout(); l != nil && n.leads(systemGroup) {
		return n.join(ctx, n.self)
	}
	for _, m := range n.others() {
		if m.Cluster != cluster {
			continue
		}
		if err = n.join(ctx, m.Name); err == nil {
			return nil
		}
	}
	return err
}

// others returns the members that are alive, without this node.
func (n *Node) others() []Member {
	return slices.DeleteFunc(slices.Clone(n.members.Members()), func(m Member) bool { return m.Name == n.self })
}

// rememberSeeds stores where the others are, so that a restart finds them.
func (n *Node) rememberSeeds(members []Member) {
	var seeds []string
	for _, m := range members {
		if m.Name != n.self && m.GossipAddr != "" {
			seeds = append(seeds, m.GossipAddr)
		}
	}
	slices.Sort(seeds)
	if len(seeds) == 0 || slices.Equal(seeds, n.data.get().Seeds) {
		return
	}
	if err := n.data.update(func(r *nodeRecord) { r.Seeds = seeds }); err != nil {
		n.fatal(err)
	}
}

// member returns what a node that is alive says of itself.
func (n *Node) member(name peer.NodeID) (Member, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[name]; k != nil && k.alive {
		return k.member, true
	}
	return Member{}, false
}

// gone reports whether a node that did not answer just now has ended: membership
// says so, or, which is known much sooner, its connection was refused or reset.
func (n *Node) gone(name peer.NodeID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.known[name]
	return k == nil || !k.alive || k.lost
}

// answers notes that a node's process has answered.
func (n *Node) answers(name peer.NodeID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[name]; k != nil {
		k.lost = false
	}
}

// seenSince returns since when a node's process is known; now if it is not.
func (n *Node) seenSince(name peer.NodeID) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	if k := n.known[name]; k != nil && k.alive {
		return k.since
	}
	return time.Now()
}

// lostProcess is told by the network that a node's process is gone.
func (n *Node) lostProcess(name peer.NodeID) {
	n.host.NodeLost(name)
	n.rpc.lost(name)
	n.dispatcher.avoid(name)
	n.mu.Lock()
	if k := n.known[name]; k != nil {
		k.lost = true
	}
	stopping := n.stopping
	if !stopping {
		n.wg.Go(func() { n.dispatcher.audit(name) })
	}
	n.mu.Unlock()
}

// nudge lets leaders try again that were told long ago that there is no room.
func (d *dispatcher) nudge() {
	d.mu.Lock()
	tell := d.starved
	d.starved = false
	d.mu.Unlock()
	if tell {
		d.tellRoom()
	}
}
