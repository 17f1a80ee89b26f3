package cluster

import (
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strconv"
	"strings"

	"github.com/hashicorp/memberlist"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/reprise-run/reprise/internal/peer"
)

// meta is what gossip carries of a [Member] besides its name and gossip address.
type meta struct {
	Version     uint8
	PeerAddr    string
	APIAddr     string
	Incarnation uint64
	Cluster     string
	Layout      uint64
	Functions   uint64
	Leaving     bool
}

const metaVersion = 1

// NodeMeta implements [memberlist.Delegate].
func (g *gossip) NodeMeta(limit int) []byte {
	g.mu.Lock()
	m := g.self
	g.mu.Unlock()
	b, err := msgpack.Marshal(&meta{
		Version: metaVersion, PeerAddr: m.PeerAddr, APIAddr: m.APIAddr, Incarnation: m.Incarnation,
		Cluster: m.Cluster, Layout: m.Layout, Functions: m.Functions, Leaving: m.Leaving,
	})
	if err != nil || len(b) > limit {
		g.log.Error("what this node says of itself does not fit into gossip", "bytes", len(b), "limit", limit, "error", err)
		return nil
	}
	return b
}

func decodeMember(node *memberlist.Node) (Member, bool) {
	var x meta
	if len(node.Meta) > maxMetaBytes || msgpack.Unmarshal(node.Meta, &x) != nil || x.Version != metaVersion {
		return Member{}, false
	}
	ip := node.Addr.String()
	return Member{
		Name: peer.NodeID(node.Name), PeerAddr: reachable(x.PeerAddr, ip), APIAddr: reachable(x.APIAddr, ip),
		GossipAddr: net.JoinHostPort(ip, strconv.Itoa(int(node.Port))), Incarnation: x.Incarnation,
		Cluster: x.Cluster, Layout: x.Layout, Functions: x.Functions, Leaving: x.Leaving,
	}, true
}

// reachable puts the address from which a node gossips in the place of "any".
func reachable(addr, ip string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if any := net.ParseIP(host); host == "" || any != nil && any.IsUnspecified() {
		return net.JoinHostPort(ip, port)
	}
	return addr
}

// foreign reports whether a node belongs to another cluster than this one.
func (g *gossip) foreign(node *memberlist.Node) bool {
	m, ok := decodeMember(node)
	g.mu.Lock()
	defer g.mu.Unlock()
	return ok && m.Cluster != "" && g.self.Cluster != "" && m.Cluster != g.self.Cluster
}

// NotifyMerge implements [memberlist.MergeDelegate]: two clusters do not mix.
func (g *gossip) NotifyMerge(nodes []*memberlist.Node) error {
	for _, node := range nodes {
		if g.foreign(node) {
			g.refused.Store(true)
			return fmt.Errorf("node %s %w", node.Name, ErrOtherCluster)
		}
	}
	return nil
}

// NotifyAlive implements [memberlist.AliveDelegate].
func (g *gossip) NotifyAlive(node *memberlist.Node) error {
	if g.foreign(node) {
		return fmt.Errorf("node %s %w", node.Name, ErrOtherCluster)
	}
	return nil
}

// NotifyConflict implements [memberlist.ConflictDelegate].
func (g *gossip) NotifyConflict(existing, other *memberlist.Node) {
	g.log.Error("two nodes have one name", "name", existing.Name, "first", existing.Address(), "second", other.Address())
}

// NotifyJoin implements [memberlist.EventDelegate].
func (g *gossip) NotifyJoin(node *memberlist.Node) {
	g.mu.Lock()
	if node.Name != g.cfg.Name {
		g.seen[node.Address()] = true
	}
	g.mu.Unlock()
	g.note(node)
}

// note remembers what a member says of itself. memberlist calls events with its
// nodes locked.
func (g *gossip) note(node *memberlist.Node) {
	m, ok := decodeMember(node)
	g.mu.Lock()
	if ok {
		g.alive[node.Name] = m
	} else {
		delete(g.alive, node.Name)
	}
	g.mu.Unlock()
	g.changed()
}

// NotifyLeave implements [memberlist.EventDelegate].
func (g *gossip) NotifyLeave(node *memberlist.Node) {
	g.mu.Lock()
	delete(g.alive, node.Name)
	g.mu.Unlock()
	g.changed()
}

// NotifyUpdate implements [memberlist.EventDelegate].
func (g *gossip) NotifyUpdate(node *memberlist.Node) { g.note(node) }

// NotifyMsg implements [memberlist.Delegate]; nothing is sent by that way.
func (g *gossip) NotifyMsg([]byte) {}

// GetBroadcasts implements [memberlist.Delegate].
func (g *gossip) GetBroadcasts(int, int) [][]byte { return nil }

// LocalState implements [memberlist.Delegate].
func (g *gossip) LocalState(bool) []byte { return nil }

// MergeRemoteState implements [memberlist.Delegate].
func (g *gossip) MergeRemoteState([]byte, bool) {}

// logger passes what memberlist says to the node's log: its warnings are seldom
// about anything that the node does not say itself.
func (g *gossip) logger() *log.Logger { return log.New(gossipLog{g.log}, "", 0) }

type gossipLog struct{ log *slog.Logger }

var _ io.Writer = gossipLog{}

func (w gossipLog) Write(b []byte) (int, error) {
	w.log.Debug("gossip", "message", strings.TrimSpace(string(b)))
	return len(b), nil
}
